"""Attention and dropout of the engine: against NumPy in float64, from the equations; and whose bits depend on what."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.engine.span_attention import DRAWS, Spans, attend, can_attend, can_drop, drawn, dropped_out
from recurra.nn.transformer.positions import turns

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
Array = NDArray[np.float64]


@pytest.fixture(params=cpu.instruction_sets() or ["none"])
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cpu, "instruction_set", lambda: request.param)
    return str(request.param)


def weights_of(scores: Array, causal: bool, window: int) -> Array:
    """Softmax over the keys that a query sees; zeros where it sees none."""
    queries, keys = scores.shape
    found = np.zeros_like(scores)
    for i in range(queries):
        last = i + keys - queries
        seen = [j for j in range(keys) if not causal or (j <= last and (not window or j > last - window))]
        if seen:
            e = np.exp(scores[i, seen] - scores[i, seen].max())
            found[i, seen] = e / e.sum()
    return found


def one_head(q: Array, k: Array, v: Array, d: Array, causal: bool, window: int) -> list[Array]:
    """Output and gradients of q, k and v for the output's gradient d (Vaswani et al. 2017, equation 1, derived)."""
    scale = 1 / math.sqrt(q.shape[1])
    p = weights_of(q @ k.T * scale, causal, window)
    d_p = d @ v.T
    d_s = p * (d_p - (p * d_p).sum(1, keepdims=True)) * scale
    return [p @ v, d_s @ k, d_s.T @ q, p.T @ d]


def expected_of(tensors: list[Tensor], queries: list[int], keys: list[int], heads: int, **how: Any) -> list[Array]:
    q, k, v, d = (t.detach().double().numpy() for t in tensors)
    found = [np.zeros_like(each) for each in (q, q, k, v)]
    size, a, b = q.shape[1] // heads, 0, 0
    for count, read in zip(queries, keys, strict=True):
        for head in range(heads):
            at = slice(head * size, (head + 1) * size)
            mine, theirs = (slice(a, a + count), at), (slice(b, b + read), at)
            made = one_head(q[mine], k[theirs], v[theirs], d[mine], **how)
            for whole, where, part in zip(found, (mine, mine, theirs, theirs), made, strict=True):
                whole[where] = part
        a, b = a + count, b + read
    return found


CASES = [
    ([3, 1, 17], [3, 1, 17], 2, 5, False, 0),
    ([7, 100, 33], [7, 100, 33], 4, 32, True, 0),
    ([50, 9], [60, 12], 3, 8, True, 7),
    ([5, 6], [0, 90], 2, 16, False, 0),
    ([130], [130], 1, 64, True, 20),
    ([200], [260], 1, 32, True, 50),
    ([97, 150, 48], [97, 170, 176], 2, 16, True, 33),
    ([100], [30], 1, 8, True, 12),
    ([3, 4], [1, 2], 2, 7, True, 0),
    ([49, 2, 96], [5, 64, 1], 1, 1, False, 0),
    ([4], [4], 2, 33, False, 0),
]


@pytest.mark.parametrize(("queries", "keys", "heads", "size", "causal", "window"), CASES)
def test_attention_and_its_gradients_are_those_of_the_equations(
    isa: str, queries: list[int], keys: list[int], heads: int, size: int, causal: bool, window: int
) -> None:
    torch.manual_seed(3)
    d = heads * size
    q = torch.randn(sum(queries), d, requires_grad=True)
    k, v = (torch.randn(sum(keys), d, requires_grad=True) for _ in range(2))
    spans = Spans.of(torch.tensor(queries), torch.tensor(keys))
    out = attend(q, k, v, spans, heads, causal=causal, window=window)
    gradient = torch.randn(out.shape)
    got = [out.detach(), *torch.autograd.grad(out, (q, k, v), gradient)]
    for made, right in zip(
        got, expected_of([q, k, v, gradient], queries, keys, heads, causal=causal, window=window), strict=True
    ):
        np.testing.assert_allclose(made.numpy(), right, rtol=0, atol=4e-6)


def turned(x: Array, positions: Array, back: bool = False) -> Array:
    """Pairs (x_i, x_{i + D/2}) as complex numbers, times e^{i p / 10000^{2i/D}} (Su et al. 2021, equation 15)."""
    half = x.shape[1] // 2
    angles = positions[:, None] * 10000.0 ** (-2.0 * np.arange(half) / x.shape[1])
    z = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * (-angles if back else angles))
    return np.concatenate([z.real, z.imag], 1)


@pytest.mark.parametrize(
    ("queries", "keys", "heads", "size", "causal", "window"),
    [
        ([30, 1, 70], [30, 1, 70], 2, 32, False, 0),
        ([60, 5], [90, 5], 3, 6, True, 0),
        ([100], [180], 1, 40, True, 25),
        ([4], [2], 2, 2, True, 0),
    ],
)
def test_queries_and_keys_are_turned_by_their_places(
    isa: str, queries: list[int], keys: list[int], heads: int, size: int, causal: bool, window: int
) -> None:
    torch.manual_seed(9)
    d = heads * size
    q = torch.randn(sum(queries), d, requires_grad=True)
    k, v = (torch.randn(sum(keys), d, requires_grad=True) for _ in range(2))
    spans = Spans.of(torch.tensor(queries), torch.tensor(keys))
    how: dict[str, Any] = {"causal": causal, "window": window}
    out = attend(q, k, v, spans, heads, turns=turns(torch.arange(max(keys)), size, q), **how)
    gradient = torch.randn(out.shape)
    got = [out.detach(), *torch.autograd.grad(out, (q, k, v), gradient)]

    at_their_places = list[Tensor]()
    at = [
        np.concatenate([np.arange(n) + m - n for n, m in zip(queries, keys, strict=True)]),
        np.concatenate([*map(np.arange, keys)]),
    ]
    by_head = [slice(h * size, (h + 1) * size) for h in range(heads)]
    for t, positions in zip((q, k), at, strict=True):
        numbers = t.detach().double().numpy().copy()
        for head in by_head:
            numbers[:, head] = turned(numbers[:, head], positions)
        at_their_places.append(torch.from_numpy(numbers))
    right = expected_of([*at_their_places, v, gradient], queries, keys, heads, **how)
    for which, positions in zip((1, 2), at, strict=True):
        for head in by_head:
            right[which][:, head] = turned(right[which][:, head], positions, back=True)
    # A query before the first key has a place below zero, and sees nothing.
    for made, wanted in zip(got, right, strict=True):
        np.testing.assert_allclose(made.numpy(), wanted, rtol=0, atol=5e-6)


def test_turns_that_do_not_fit_are_refused() -> None:
    q, of_five = torch.randn(5, 8), Spans.of(torch.tensor([5]))
    with pytest.raises(ValueError, match="5 or more, 4"):
        attend(q, q, q, of_five, 2, turns=turns(torch.arange(4), 4, q))
    with pytest.raises(ValueError, match="float64"):
        attend(q, q, q, of_five, 2, turns=turns(torch.arange(5), 4, q.double()))
    with pytest.raises(ValueError, match="heads of 5 numbers"):
        attend(torch.randn(5, 5), torch.randn(5, 5), torch.randn(5, 5), of_five, 1, turns=torch.ones(5, 5))
    with pytest.raises(ValueError, match="more queries than keys"):
        attend(q, q[:3], q[:3], Spans.of(torch.tensor([5]), torch.tensor([3])), 2, turns=turns(torch.arange(5), 4, q))


def test_large_scores_neither_overflow_nor_lose_the_small_ones(isa: str) -> None:
    torch.manual_seed(4)
    q, k, v = (torch.randn(40, 16) * s for s in (90, 90, 1))
    out = attend(q, k, v, Spans.of(torch.tensor([40])), 2)
    (right, *_) = expected_of([q, k, v, v], [40], [40], 2, causal=False, window=0)
    # A score of thousands has an error of 1e-4 in float32, and so has a weight.
    np.testing.assert_allclose(out.numpy(), right, rtol=0, atol=5e-3)
    assert torch.isfinite(out).all()


def test_rows_that_lie_apart_are_read_where_they_are(isa: str) -> None:
    """Queries, keys and values as columns of one matrix, as a projection makes them."""
    torch.manual_seed(5)
    mixed = torch.randn(30, 36)
    parts = mixed.chunk(3, 1)
    spans = Spans.of(torch.tensor([10, 20]))
    assert torch.equal(attend(*parts, spans, 3), attend(*(p.contiguous() for p in parts), spans, 3))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_bits_depend_neither_on_threads_nor_on_other_sequences(isa: str, dropout: float) -> None:
    torch.manual_seed(6)
    lengths, d = [30, 70, 5, 64], 32
    q, k, v = (torch.randn(sum(lengths), d, requires_grad=True) for _ in range(3))
    gradient = torch.randn(sum(lengths), d)

    def made(first: int, last: int, counts: list[int]) -> list[Tensor]:
        torch.manual_seed(7)
        rows = [t[first:last].detach().requires_grad_() for t in (q, k, v)]
        out = attend(*rows, Spans.of(torch.tensor(counts)), 4, causal=True, dropout=dropout)
        return [out, *torch.autograd.grad(out, rows, gradient[first:last])]

    together, threads = made(0, sum(lengths), lengths), torch.get_num_threads()
    try:
        torch.set_num_threads(3 if threads == 1 else 1)
        assert all(map(torch.equal, together, made(0, sum(lengths), lengths)))
    finally:
        torch.set_num_threads(threads)
    for one, all_of_them in zip(made(0, 30, [30]), together, strict=True):
        assert torch.equal(one, all_of_them[:30])


def test_a_causal_query_has_the_bits_that_it_has_without_what_comes_later(isa: str) -> None:
    torch.manual_seed(8)
    q, k, v = torch.randn(3, 90, 24)
    whole = attend(q, k, v, Spans.of(torch.tensor([90])), 2, causal=True, window=40)
    for end in (1, 17, 50, 89):
        part = attend(q[:end], k[:end], v[:end], Spans.of(torch.tensor([end])), 2, causal=True, window=40)
        assert torch.equal(part, whole[:end])
        last = attend(
            q[end - 1 : end],
            k[:end],
            v[:end],
            Spans.of(torch.tensor([1]), torch.tensor([end])),
            2,
            causal=True,
            window=40,
        )
        assert torch.equal(last[0], whole[end - 1])


def test_dropped_weights_are_zero_and_the_gradient_knows_which(isa: str) -> None:
    """Of values that are the identity matrix, the output is the weights themselves."""
    torch.manual_seed(9)
    q, k = (torch.randn(60, 60, requires_grad=True) for _ in range(2))
    values = torch.eye(60).requires_grad_()
    out = attend(q, k, values, Spans.of(torch.tensor([60])), 1, dropout=0.25)
    p = torch.softmax(q.double() @ k.double().T / math.sqrt(60), 1)
    kept = (out != 0).double() / 0.75
    assert abs(float((out == 0).double().mean()) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 3600)
    torch.testing.assert_close(out.double(), p * kept, rtol=1e-5, atol=1e-7)
    gradient = torch.randn(60, 60)
    right = torch.autograd.grad((p * kept) @ values.double(), (q, k, values), gradient.double())
    for made, expected in zip(torch.autograd.grad(out, (q, k, values), gradient), right, strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=2e-6)


def test_a_second_derivative_is_refused() -> None:
    q, k, v = (torch.randn(4, 8, requires_grad=True) for _ in range(3))
    out = attend(q, k, v, Spans.of(torch.tensor([4])), 2)
    (first,) = torch.autograd.grad(out.sum(), q, create_graph=True)
    with pytest.raises(RunError, match="no second derivatives"):
        first.sum().backward()


@pytest.mark.parametrize(
    "change",
    [lambda t: t.double(), lambda t: t.unsqueeze(0), lambda t: t[:0], lambda t: t.to("meta")],
    ids=["float64", "three dimensions", "no rows", "another device"],
)
def test_what_it_cannot_take_is_left_to_torch(change: Callable[[Tensor], Tensor]) -> None:
    q, k, v = torch.randn(3, 4, 8)
    assert can_attend(q, k, v)
    assert not can_attend(q, change(k), v)


# -- dropout -----------------------------------------------------------------------------------------------------------


def test_the_share_and_the_scale_of_dropout(isa: str) -> None:
    torch.manual_seed(10)
    x = torch.randn(200_003)
    y = dropped_out(x, *drawn(0.3))
    share = float((y == 0).double().mean())
    assert abs(share - 0.3) < 5 * math.sqrt(0.3 * 0.7 / len(x))
    torch.testing.assert_close(y[y != 0], x[y != 0] / 0.7, rtol=1e-6, atol=0)


def test_what_is_dropped_depends_on_seed_and_place_alone(isa: str) -> None:
    x = torch.ones(70_000)
    whole = dropped_out(x, DRAWS // 2, 12)
    assert torch.equal(dropped_out(x[:65_541], DRAWS // 2, 12), whole[:65_541])
    assert not torch.equal(dropped_out(x, DRAWS // 2, 13), whole)


@pytest.mark.skipif(len(cpu.instruction_sets()) < 2, reason="this processor has one instruction set")
def test_every_instruction_set_drops_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for one in cpu.instruction_sets():
        monkeypatch.setattr(cpu, "instruction_set", lambda one=one: one)
        found.append(dropped_out(torch.ones(1003), DRAWS // 3, 5))
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_neighbours_rows_and_seeds_are_dropped_independently(isa: str) -> None:
    many = torch.stack([dropped_out(torch.ones(2 * 65_536), DRAWS // 2, seed) != 0 for seed in (1, 2)]).double()
    flat = many.reshape(4, -1)  # rows of one seed, and of two
    among = torch.corrcoef(torch.cat([flat, flat.roll(1, 1), flat.roll(8, 1)])) - torch.eye(12, dtype=torch.float64)
    assert among.abs().max() < 5 / math.sqrt(65_536)


def test_the_gradient_drops_the_same_numbers_without_nan() -> None:
    x = torch.ones(500, requires_grad=True)
    y = dropped_out(x, DRAWS // 2, 3)
    (gradient,) = torch.autograd.grad(y, x, torch.full((500,), math.inf), create_graph=True)
    assert torch.equal(gradient == 0, y == 0)
    assert not gradient.isnan().any()


def test_other_types_are_not_dropped_here() -> None:
    assert can_drop(torch.ones(3))
    assert not can_drop(torch.ones(3, dtype=torch.float64))
    assert not can_drop(torch.ones(3, device="meta"))
