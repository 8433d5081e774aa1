"""Everything that meets the native engine, under every default of torch for new tensors; prints what differs.

A script, for a process of its own: where a result's memory is made too small, or nowhere, the process dies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from torch import Tensor

from recurra.cells import CELLS
from recurra.engine import BACKENDS
from recurra.engine import linear as engine_linear
from recurra.nn import GRU, LSTM, Linear, Recurrent, linear_cross_entropy
from recurra.nn.crf import crf_nats, marginals, viterbi
from recurra.nn.incremental import IncrementalRNN
from recurra.nn.unroll import Unrolled

torch.manual_seed(0)
x, targets = torch.randn(6, 3, 5), torch.tensor([0, 1, 2, 3, 0, 1])
rows, emissions, labels = torch.randn(70, 5), torch.randn(6, 3, 4), torch.zeros(6, 3, dtype=torch.int64)
lengths = torch.tensor([6, 2, 4])
# Each cell without lengths, then each executor with lengths in every form, then what draws masks.
layers = {name: Recurrent(5, 4, cell=name, proj_size=2 if name == "lstm_projected" else 0) for name in CELLS}
on_cpu = [word for word in BACKENDS if word != "triton"]
padded = {f"{name} {word}": Recurrent(5, 4, cell=name, backend=word) for name in ("rnn", "gru") for word in on_cpu}
layers |= {"stacked": GRU(5, 4, 2, bidirectional=True), "dropped": LSTM(5, 4, variational_dropout=0.3)}
layers["zoned"] = LSTM(5, 4, zoneout=0.3)
linear, pairs, ends = Linear(5, 4), torch.randn(4, 4, requires_grad=True), torch.randn(4, requires_grad=True)


def flat(value: object) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [t for v in value for t in flat(v)]  # type: ignore[attr-defined]


def with_gradients(made: object, leaves: list[Tensor]) -> list[Tensor]:
    """Tensors, and the gradients of the sum of their squares."""
    found = flat(made)
    return found + list(torch.autograd.grad(torch.stack([t.square().sum() for t in found]).sum(), leaves))


def work() -> Iterator[tuple[str, list[Tensor]]]:
    """What was computed, by name."""
    for name, layer in layers.items():
        torch.manual_seed(1)
        yield name, with_gradients(layer(x), list(layer.parameters()))
    for name, layer in padded.items():
        for given in (lengths, lengths.tolist(), np.array([6, 2, 4])):
            yield f"{name} {type(given)}", with_gradients(layer(x, lengths=given), list(layer.parameters()))
    states = [(x.new_ones(3, 4), x.new_zeros(3, 4))]
    with torch.no_grad():
        yield "steps", flat(IncrementalRNN(layers["lstm"])(x[0], states))
    yield "unrolled", flat(Unrolled(layers["lstm"], x[0], [3]).step(0, None, states))
    yield "linear", with_gradients(linear(rows), list(linear.parameters()))
    nats = linear_cross_entropy(x[:, 0], linear.weight, linear.bias, targets)
    yield "cross-entropy", with_gradients(nats, list(linear.parameters()))
    yield "crf", with_gradients(crf_nats(emissions, labels, lengths, pairs, ends, ends), [pairs, ends])
    yield "marginals", [marginals(emissions, lengths, pairs, ends, ends)]
    yield "viterbi", flat(viterbi(emissions, lengths, pairs, ends, ends))


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(word: str) -> Iterator[None]:
    torch.set_default_device(word)
    yield
    torch.set_default_device(None)


DEFAULTS: dict[str, AbstractContextManager[object]] = {
    **{str(dtype): default_type(dtype) for dtype in (torch.float64, torch.bfloat16, torch.float16)},
    "default device": default_device("meta"),
    "with device": torch.device("meta"),
}


def compare(word: str, context: AbstractContextManager[object]) -> None:
    with context:
        found = list(work())
    for (name, right), (_, got) in zip(EXPECTED, found, strict=True):
        if not all(map(same, right, got)):
            print(f"{word}: {name} differs")


def same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)


if __name__ == "__main__":
    os.environ["RECURRA_ISA"] = sys.argv[1]
    engine_linear.tiles_beat_torch = lambda: True
    EXPECTED = list(work())
    for default, under in DEFAULTS.items():
        compare(default, under)
    print("done")
