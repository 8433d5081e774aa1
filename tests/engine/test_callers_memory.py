"""Memory that the caller writes to between a call and its backward pass: the right gradient, or torch's sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from conformance.battery import ON_CPU
from recurra.base.errors import RunError
from recurra.cells import CELLS
from recurra.engine import Call, Weights, cpu, linear, run
from recurra.lower import layout
from recurra.nn import ATTENTIONS, GRU, LSTM, Linear, linear_cross_entropy
from recurra.nn.crf import crf_nats
from recurra.nn.unroll import Unrolled

T, N, I, H = 5, 3, 4, 6
# What is computed, what wants gradients, and what the caller may write to.
Case = tuple[Tensor, Sequence[Tensor], Mapping[str, Tensor | np.ndarray]]


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def lengths() -> Tensor:
    return torch.tensor([5, 2, 4])


def _layer(given: Tensor | np.ndarray, **options: object) -> Case:
    torch.manual_seed(0)
    layer = LSTM(I, H, **options)
    x, h, c = torch.randn(T, N, I), torch.randn(1, N, H), torch.randn(1, N, H)
    h0, c0 = (h, c) if layer.num_directions == 1 else (h.repeat(2, 1, 1), c.repeat(2, 1, 1))
    made, _ = layer(x, (h0, c0), lengths=given)
    return made, list(layer.parameters()), {"lengths": given, "x": x, "h0": h0, "c0": c0}


def _masks(backend: str) -> Case:
    g, cell = rng(), CELLS["lstm"]
    x, states = torch.randn(T, N, I, generator=g), tuple(torch.randn(N, H, generator=g) for _ in "hc")
    packed = {p.name: torch.randn(p.shape({"I": I, "H": H}), generator=g).requires_grad_() for p in layout(cell)}
    zones = tuple(torch.rand(T, N, H, generator=g) < 0.5 for _ in "hc")
    mask, some = (torch.rand(N, H, generator=g) < 0.5) * 2.0, lengths()
    made = run(Call(x, states, Weights(cell, packed), some, False, zones, mask), backend=backend).output
    return made, list(packed.values()), {"mask": mask, "lengths": some, "zone h": zones[0], "zone c": zones[1]}


def _unrolled() -> Case:
    torch.manual_seed(0)
    layer, known, x = GRU(I, H), torch.randn(2 * N, 2), torch.randn(N, 2)
    h = torch.randn(N, H)
    steps = Unrolled(layer, known, [N, N])
    (first,) = steps.step(0, x, [(h,)])
    (second,) = steps.step(1, x, [first])
    steps.finish()
    return second[0], list(layer.parameters()), {"known": known, "x": x, "h": h}


def _cross_entropy(given: Tensor | np.ndarray, dtype: torch.dtype) -> Case:
    g = rng()
    x, W, b = (torch.randn(s, generator=g, dtype=dtype).requires_grad_() for s in ((7, I), (5, I), (5,)))
    nats = linear_cross_entropy(x, W, b, torch.as_tensor(given))
    return nats * torch.arange(1, 8), [x, W, b], {"targets": given}


def _linear() -> Case:
    torch.manual_seed(0)
    layer, x = Linear(I, H), torch.randn(70, I)
    return layer(x), list(layer.parameters()), {"x": x}


def _crf() -> Case:
    g = rng()
    emissions, pairs, ends = (torch.randn(s, generator=g).requires_grad_() for s in ((T, N, 3), (3, 3), (3,)))
    labels, some = torch.randint(0, 3, (T, N), generator=g), lengths()
    nats = crf_nats(emissions, labels, some, pairs, ends, ends)
    return nats, [emissions, pairs, ends], {"labels": labels, "lengths": some}


def _attention(word: str) -> Case:
    torch.manual_seed(0)
    attention = ATTENTIONS[word](H, H)
    memory, some, query = torch.randn(T, N, H), lengths(), torch.randn(2, N, H, requires_grad=True)
    contexts = attention(query, memory, some)[0]
    return contexts, [query, *attention.parameters()], {"memory": memory, "lengths": some}


CASES: dict[str, Callable[[], Case]] = {
    **{f"layer {word}": lambda word=word: _layer(lengths(), backend=word) for word in ("auto", *ON_CPU)},
    "both directions": lambda: _layer(lengths(), bidirectional=True),
    "lengths of numpy": lambda: _layer(lengths().numpy()),
    **{f"masks {word}": lambda word=word: _masks(word) for word in ("cpu", "reference")},
    "unrolled": _unrolled,
    "cross-entropy": lambda: _cross_entropy(torch.arange(7) % 5, torch.float32),
    "cross-entropy of numpy": lambda: _cross_entropy(np.arange(7) % 5, torch.float32),
    "cross-entropy in float64": lambda: _cross_entropy(torch.arange(7) % 5, torch.float64),
    "linear": _linear,
    "crf": _crf,
    **{word: lambda word=word: _attention(word) for word in ATTENTIONS if word not in ("none", "multi_head")},
}
WRITTEN = [(case, name) for case, make in CASES.items() for name in make()[2]]


def gradients(made: Tensor, leaves: Sequence[Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(made.square().sum(), leaves, allow_unused=True))


def overwrite(memory: Tensor | np.ndarray) -> None:
    """Other numbers that are allowed there: lengths 0 to T, classes 0 to 2, masks of the other bits."""
    if isinstance(memory, np.ndarray):
        np.copyto(memory, memory % 2)
    elif memory.dtype == torch.bool:
        memory.logical_not_()
    elif memory.is_floating_point():
        memory.add_(1)
    else:
        memory.remainder_(2)


@pytest.mark.parametrize(("case", "name"), WRITTEN)
def test_what_is_written_to_after_the_call_changes_no_gradient(case, name, monkeypatch):
    monkeypatch.setattr(linear, "tiles_beat_torch", lambda: True)
    if not cpu.available() and " cpu" in case:
        pytest.skip("recurra was installed without its native engine")
    expected = gradients(*CASES[case]()[:2])
    made, leaves, given = CASES[case]()
    overwrite(given[name])
    try:
        found = gradients(made, leaves)
    except RuntimeError as error:
        assert "has been modified by an inplace operation" in str(error)  # noqa: PT017
        return
    for right, got in zip(expected, found, strict=True):
        assert (right is None and got is None) or torch.equal(got, right)


def test_what_is_written_to_before_an_unrolled_layer_is_finished_is_refused():
    torch.manual_seed(0)
    for written in ("x", "h"):
        given = {"x": torch.randn(N, I), "h": torch.randn(N, H)}
        steps = Unrolled(GRU(I, H), torch.empty(N, 0), [N])
        steps.step(0, given["x"], [(given["h"],)])
        given[written].add_(1)
        with pytest.raises(RunError, match=r"modified by an inplace operation before finish\(\)"):
            steps.finish()
