"""What meets the native engine, under hooks that give saved tensors back in every way; prints what is wrong.

A script, for a process of its own: a native call on what is not as it was saved may end the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from recurra.base.errors import RunError
from recurra.cells import CELLS
from recurra.engine import linear as engine_linear
from recurra.nn import GRU, LSTM, Linear, Recurrent, linear_cross_entropy
from recurra.nn.crf import crf_nats

torch.manual_seed(0)
T, N, I, H = 6, 3, 5, 4
x, rows, lengths, targets = torch.randn(T, N, I), torch.randn(70, I), torch.tensor([6, 2, 4]), torch.arange(70) % H
emissions, labels = torch.randn(T, N, 4), torch.zeros(T, N, dtype=torch.int64)
layers = {name: Recurrent(I, H, cell=name, proj_size=2 if name == "lstm_projected" else 0) for name in CELLS}
layers |= {"both": GRU(I, H, 2, bidirectional=True), "masked": LSTM(I, H, variational_dropout=0.3, zoneout=0.2)}
linear, pairs, ends = Linear(I, H), torch.randn(4, 4, requires_grad=True), torch.randn(4, requires_grad=True)
Work = tuple[Callable[[], Tensor], Sequence[Tensor]]
WORK: dict[str, Work] = {
    **{
        name: (lambda layer=layer: layer(x, lengths=lengths)[0], list(layer.parameters()))
        for name, layer in layers.items()
    },
    # Without lengths, the shortest way.
    **{
        f"{name}, straight": (lambda layer=layers[name]: layer(x)[0], list(layers[name].parameters()))
        for name in ("lstm", "gru")
    },
    "linear": (lambda: linear(rows), list(linear.parameters())),
    "cross-entropy": (
        lambda: linear_cross_entropy(rows, linear.weight, linear.bias, targets) * torch.arange(1, 71),
        list(linear.parameters()),
    ),
    "crf": (lambda: crf_nats(emissions, labels, lengths, pairs, ends, ends), [pairs, ends]),
}


def turned(t: Tensor) -> Tensor:
    """The same numbers, the first dimension the innermost."""
    return t.movedim(0, -1).contiguous().movedim(-1, 0) if t.dim() > 1 else torch.stack([t, t], -1)[..., 0]


def spread(t: Tensor) -> Tensor:
    """The same numbers with others between them."""
    return torch.stack([t, torch.full_like(t, 7)], -1).flatten(-2)[..., ::2] if t.dim() else t


# What hooks give back; "the same" must give the same gradients, everything else those or a sentence.
SAME: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": turned,
    "spread": spread,
    "negated": lambda t: (-t).conj_physical()._neg_view() if t.is_floating_point() else t,
    "copied": lambda t: t.detach().clone(),
}
OTHER: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": lambda t: t.double(),
    "bfloat16": lambda t: t.bfloat16(),
    "flat": lambda t: t.flatten(),
    "one": lambda t: t.flatten()[:1],
    "meta": lambda t: t.to("meta"),
    "sparse": lambda t: t.to_sparse(),
}


def gradients(work: Work, *, twice: bool) -> list[Tensor]:
    """The gradients of the sum of the results; with `twice` those of a second pass back."""
    torch.manual_seed(1)
    made, leaves = work[0](), work[1]
    for _ in range(twice):
        torch.autograd.grad(made.square().sum(), leaves, retain_graph=True)
    return list(torch.autograd.grad(made.square().sum(), leaves))


def compare(name: str, hook: str, find: Callable[[], list[Tensor]], *, may_refuse: bool = False) -> None:
    try:
        found = find()
    except (RunError, RuntimeError, NotImplementedError) as error:
        if not may_refuse or not str(error):
            print(f"{name}, {hook}: {type(error).__name__}: {error}")
        return
    for right, got in zip(EXPECTED[name], found, strict=True):
        if not torch.allclose(right, got, rtol=1e-4, atol=1e-6):
            print(f"{name}, {hook}: differs by {float((right - got).abs().max()):.2g}")
            return


def hooked(work: Work, hook: Callable[[Tensor], Tensor], twice: bool) -> list[Tensor]:
    with saved_tensors_hooks(lambda t: t.detach(), hook):
        return gradients(work, twice=twice)


def saved_on_cpu(work: Work) -> list[Tensor]:
    with save_on_cpu():
        return gradients(work, twice=True)


def recomputed(work: Work) -> list[Tensor]:
    return gradients((lambda: checkpoint(work[0], use_reentrant=False), work[1]), twice=True)


if __name__ == "__main__":
    os.environ["RECURRA_ISA"] = sys.argv[1]
    engine_linear.tiles_beat_torch = lambda: True
    EXPECTED = {name: gradients(work, twice=False) for name, work in WORK.items()}
    for name, work in WORK.items():
        for twice in (False, True):
            for word, hook in SAME.items():
                compare(name, word, partial(hooked, work, hook, twice))
            for word, hook in OTHER.items():
                compare(name, word, partial(hooked, work, hook, twice), may_refuse=True)
        compare(name, "save_on_cpu", partial(saved_on_cpu, work))
        compare(name, "checkpoint", partial(recomputed, work))
    print("done")
