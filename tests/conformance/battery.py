"""Helpers of the battery: executors under test, cells with their oracles, and small random problems.

A new executor appears in EXECUTORS by itself, with the cells that it does not refuse; say in DTYPES which types it
computes, unless float32 is all. A new cell appears in CELLS_UNDER_TEST by itself, and fails until it has an oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from conformance.users_cell import LEAKY, leaky
from oracles.catalogue import ORACLES
from oracles.derivative import gradients
from oracles.loop import Array, Oracle
from recurra.cells import CELLS, Cell
from recurra.engine import BACKENDS, Call, Result, Weights, run
from recurra.lower import layout

CELLS_UNDER_TEST: dict[str, Cell] = dict(CELLS) | {"leaky": leaky}
ALL_ORACLES: dict[str, Oracle] = ORACLES | {"leaky": LEAKY}

# Only the order of summation differs between two float64 executors. float32 has 6e-8 per operation, and about 30 of
# them follow one another in six steps; measured: at most 1e-6.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 4e-6}
# What an executor computes; one that is not named here computes float32.
DTYPES = {"reference": (torch.float64, torch.float32), "torch": (torch.float64, torch.float32)}


@dataclass(frozen=True)
class Executor:
    """One backend in one floating type; tolerance is relative and absolute."""

    backend: str
    dtype: torch.dtype
    tolerance: float

    def run(self, call: Call) -> Result:
        """The result; the test is skipped if the executor knows the cell but not this kind of call, and says so."""
        if reason := BACKENDS[self.backend].refusal(call):
            pytest.skip(reason)
        return run(call, backend=self.backend)

    def __str__(self) -> str:
        return f"{self.backend}-{str(self.dtype).removeprefix('torch.')}"


REFERENCE = Executor("reference", torch.float64, TOLERANCE[torch.float64])
# Triton's kernels are for a GPU; tests/engine/test_triton.py has them interpreted.
ON_CPU = tuple(word for word in BACKENDS if word != "triton")
EXECUTORS = tuple(
    Executor(backend, dtype, TOLERANCE[dtype]) for backend in ON_CPU for dtype in DTYPES.get(backend, (torch.float32,))
)


@dataclass(frozen=True, eq=False)
class Problem:
    """A cell with random float64 numbers: x (T, N, I), initial states (N, width), packed parameters.

    One problem is one object (`problem` keeps them), so what an oracle says of it is asked once for all executors.
    """

    cell: Cell
    x: Array
    states: tuple[Array, ...]
    packed: dict[str, Array]

    def call(
        self,
        dtype: torch.dtype = torch.float64,
        lengths: Sequence[int] | None = None,
        reverse: bool = False,
        *,
        leaves: bool = False,
    ) -> Call:
        """The same numbers as an engine's call; `leaves` asks for gradients to every tensor of it."""

        def tensor(a: Array) -> torch.Tensor:
            return torch.tensor(a, dtype=dtype).requires_grad_(leaves)

        weights = Weights(self.cell, {name: tensor(a) for name, a in self.packed.items()})
        n = None if lengths is None else torch.tensor(lengths, dtype=torch.int64)
        zoneout = (None,) * len(self.states)
        return Call(tensor(self.x), tuple(map(tensor, self.states)), weights, n, reverse, zoneout)

    def numbers(self) -> dict[str, Array]:
        """Everything that a gradient can be asked for, by name."""
        return (
            {"x": self.x} | {f"state:{s}": a for s, a in zip(self.cell.states, self.states, strict=True)} | self.packed
        )


@cache
def problem(
    name: str, T: int = 4, N: int = 3, I: int = 3, H: int = 4, P: int = 2, *, bias: bool = True, seed: int = 0
) -> Problem:
    """Random numbers of the size that a layer meets: weights up to 0.8, inputs N(0, 1)."""
    cell, rng = CELLS_UNDER_TEST[name], np.random.default_rng(seed)
    sizes = {"I": I, "H": H, "P": P}
    packed = {p.name: rng.uniform(-0.8, 0.8, size=p.shape(sizes)) for p in layout(cell, bias=bias)}
    states = tuple(_state(rng, s, (N, sizes[cell.size(s)])) for s in cell.states)
    return Problem(cell, rng.normal(size=(T, N, I)), states, packed)


def pairs(*dtypes: torch.dtype) -> list[Any]:
    """Every cell with every executor that knows it and computes one of `dtypes` (any if none are named)."""
    return [
        pytest.param(name, executor, id=f"{name}-{executor}")
        for executor in EXECUTORS
        for name in CELLS_UNDER_TEST
        if executor.dtype in (dtypes or (executor.dtype,))
        and BACKENDS[executor.backend].refusal(problem(name).call(executor.dtype)) is None
    ]


def zoneout_of(cell: Cell, p: float) -> tuple[float, ...]:
    """This probability for every state that means something alone."""
    return tuple(0.0 if name in cell.together else p for name in cell.states)


def _state(rng: np.random.Generator, name: str, shape: tuple[int, int]) -> Array:
    # The sLSTM divides by n, a sum of exponentials, which is never near zero in use.
    return rng.uniform(0.5, 1.5, size=shape) if name == "n" else rng.normal(size=shape)


@cache
def oracle_run(
    name: str, problem: Problem, lengths: tuple[int, ...] | None = None, reverse: bool = False
) -> tuple[Array, tuple[Array, ...]]:
    """What the oracle says about a problem: outputs, and last states."""
    oracle = ALL_ORACLES[name]
    return oracle.run(problem.x, problem.states, oracle.unpack(problem.packed), lengths, reverse)


@cache
def oracle_gradients(
    name: str, problem: Problem, lengths: tuple[int, ...] | None = None, reverse: bool = False
) -> dict[str, Array]:
    """What the oracle says about the gradient of the scalar of `probe(problem)` to each number of a problem."""
    oracle, look = ALL_ORACLES[name], probe(problem)

    def scalar(numbers: dict[str, Array]) -> complex:
        states = [numbers[f"state:{s}"] for s in problem.cell.states]
        packed = {word: numbers[word] for word in problem.packed}
        return look.of_arrays(*oracle.run(numbers["x"], states, oracle.unpack(packed), lengths, reverse))

    return gradients(scalar, problem.numbers())


@dataclass(frozen=True)
class Probe:
    """A scalar that sees every output and every last state with a weight of its own."""

    output: Array
    states: tuple[Array, ...]

    def of_arrays(self, output: Array, states: Sequence[Array]) -> complex:
        return (self.output * output).sum() + sum((w * s).sum() for w, s in zip(self.states, states, strict=True))

    def of(self, result: Result) -> torch.Tensor:
        """The scalar, in float64 whatever the executor's type."""
        total = (torch.tensor(self.output) * result.output).sum()
        for w, s in zip(self.states, result.states, strict=True):
            total = total + (torch.tensor(w) * s).sum()
        return total


def probe(problem: Problem, seed: int = 1) -> Probe:
    rng = np.random.default_rng(seed)
    T, N, _ = problem.x.shape
    return Probe(
        rng.normal(size=(T, N, problem.states[0].shape[1])), tuple(rng.normal(size=s.shape) for s in problem.states)
    )


def leaves_of(call: Call) -> dict[str, torch.Tensor]:
    """The tensors of a call under the names of `Problem.numbers`."""
    states = {f"state:{s}": t for s, t in zip(call.cell.states, call.states, strict=True)}
    return {"x": call.x} | states | dict(call.weights.packed)


def gradients_of(scalar: torch.Tensor, call: Call) -> dict[str, Array]:
    """Gradients of a scalar to everything in a call; zeros where it does not depend on it."""
    leaves = leaves_of(call)
    if not scalar.requires_grad:
        return {name: np.zeros(t.shape) for name, t in leaves.items()}
    found = torch.autograd.grad(scalar, list(leaves.values()), allow_unused=True)
    return {n: _array(torch.zeros_like(t) if g is None else g) for (n, t), g in zip(leaves.items(), found, strict=True)}


def _array(t: torch.Tensor) -> Array:
    return t.detach().double().numpy()


def assert_close(got: torch.Tensor | Array, expected: torch.Tensor | Array, tolerance: float, what: str = "") -> None:
    """Within `tolerance`, absolutely for numbers below 1 and relative to the largest above."""
    a, b = (_array(t) if isinstance(t, torch.Tensor) else t for t in (got, expected))
    scale = max(1.0, float(np.abs(b).max())) if b.size else 1.0
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale, err_msg=what)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal in every bit, NaN and the sign of zero included."""
    as_int = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    return a.dtype == b.dtype and torch.equal(
        a.detach().contiguous().view(as_int), b.detach().contiguous().view(as_int)
    )
