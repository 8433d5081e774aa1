"""The words in which a cell's equations are written, and the `@cell` decorator.

A cell is an ordinary function of the input x, its states, and its parameters p. The same function is called with
tensors (then it is the reference executor, and torch differentiates it) and with symbols (then it yields the graph
from which parameters, gradients, kernels and LaTeX are derived). So it may use only the words below and + - * /.

Parameters, by the name of a gate:
    p.W("i", x)     product with the input weights; the argument is x itself, so all steps are one GEMM
    p.R("i", h)     product with the recurrent weights; the argument is any expression of the states' width
    p.P("r", m)     projection from H units to P, for a state declared with sizes={"h": "P"} (LSTMP)
    p.b("i")        bias                        p.b_R("n")   a second bias, on the recurrent side (torch's GRU)
    p.v("i")        diagonal weight: one number a unit (peepholes, IndRNN)
    p.gain("c")     a scale that starts at one (layer normalisation)
"""

from __future__ import annotations

import importlib
import inspect
import math
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from recurra.base.errors import ConfigError

# A tensor or a symbol. Both have the operators and the few methods that the words below call.
Value: TypeAlias = Any
Width: TypeAlias = Literal["H", "P"]


class Parameters(Protocol):
    """What a cell's equations may ask of `p`."""

    def W(self, gate: str, x: Value) -> Value: ...
    def R(self, gate: str, h: Value) -> Value: ...
    def P(self, gate: str, h: Value) -> Value: ...
    def b(self, gate: str) -> Value: ...
    def b_R(self, gate: str) -> Value: ...
    def v(self, gate: str) -> Value: ...
    def gain(self, gate: str) -> Value: ...


def sigmoid(a: Value) -> Value:
    """1 / (1 + exp(-a))."""
    return a.sigmoid()


def tanh(a: Value) -> Value:
    """Hyperbolic tangent."""
    return a.tanh()


def relu(a: Value) -> Value:
    """max(a, 0), with gradient 0 at 0."""
    return a.relu()


def exp(a: Value) -> Value:
    """e to the power a."""
    return a.exp()


def log(a: Value) -> Value:
    """Natural logarithm."""
    return a.log()


def sqrt(a: Value) -> Value:
    """Square root."""
    return a.sqrt()


def maximum(a: Value, b: Value) -> Value:
    """The larger of the two, unit by unit; one may be a number. At a tie each gets half of the gradient."""
    if isinstance(a, int | float):
        a, b = b, a
    if isinstance(b, int | float) and hasattr(type(a), "new_full"):  # torch's maximum takes tensors only
        b = a.new_full((), b)
    return a.maximum(b)


def log_sigmoid(a: Value) -> Value:
    """log(sigmoid(a)), without overflow for large negative a."""
    if hasattr(a, "log_sigmoid"):
        return a.log_sigmoid()
    from torch.nn.functional import logsigmoid  # torch has it as a function only

    return logsigmoid(a)


def log_nonzero(a: Value) -> Value:
    """log [a != 0]: 0, and minus infinity where a is 0. It has no gradient."""
    if hasattr(a, "log_nonzero"):
        return a.log_nonzero()
    return a.new_zeros(a.shape).masked_fill(a == 0, -math.inf)


def mean(*parts: Value) -> Value:
    """The mean over all units of all parts, one number a row: (N, 1)."""
    total = sum((a.mean(-1, keepdim=True) for a in parts[1:]), start=parts[0].mean(-1, keepdim=True))
    return total if len(parts) == 1 else total * (1.0 / len(parts))


def normalize(*parts: Value, eps: float = 1e-5) -> tuple[Value, ...]:
    """Zero mean and unit variance over all units of all parts together, row by row.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3; jointly over the gates as in its supplement, eq. 20-22.
    """
    centre = mean(*parts)
    centred = [a - centre for a in parts]
    scale = sqrt(mean(*[a * a for a in centred]) + eps)
    return tuple(a / scale for a in centred)


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell: its equations, and what cannot be read from them.

    name:      the word that chooses it
    states:    names of the states, in the order in which the equations take and return them; the first is the output
    equations: (x, *states, p) -> the new states, one value or a tuple
    sizes:     width of each state: "H" units (default), or "P" after a projection
    bias_pair: keep bias_ih and bias_hh, which are added, so that torch's state dicts fit (torch, cuDNN)
    together:  states that mean something only together, as a sum and what it is divided by: nothing sets one alone
    paper:     where the equations come from
    """

    name: str
    states: tuple[str, ...]
    equations: Callable[..., Value]
    paper: str
    bias_pair: bool = False
    sizes: Mapping[str, Width] = field(default_factory=dict)
    together: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        """What the cell is, in a sentence or two."""
        return inspect.getdoc(self.equations) or ""

    def size(self, state: str) -> Width:
        """Width of a state, "H" or "P"."""
        return self.sizes.get(state, "H")

    def step(self, x: Value, states: tuple[Value, ...], p: Parameters) -> tuple[Value, ...]:
        """One time step: the new states, always as a tuple."""
        new = self.equations(x, *states, p)
        return new if isinstance(new, tuple) else (new,)

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Cell:
        # A cell is a constant; copies of a layer share it.
        return self

    def __reduce__(self) -> tuple[Callable[..., Cell], tuple[str, str]]:
        # A layer is pickled by torch.save and by worker processes. Equations are code, so a cell goes by its place in
        # its module, as a function does; one without such a place is stored by `lower.to_json`.
        module, word = self.equations.__module__, self.equations.__qualname__
        if getattr(sys.modules.get(module), word, None) is not self:
            raise pickle.PicklingError(
                f"cell '{self.name}' is not found as {module}.{word}, so another process cannot find it: "
                "define it at the top of an importable module, under the name of its function."
            )
        return _named, (module, word)

    def __repr__(self) -> str:
        return f"<cell {self.name}: {', '.join(self.states)}>"


def _named(module: str, word: str) -> Cell:
    found: Cell = getattr(importlib.import_module(module), word)
    return found


def cell(
    *,
    states: tuple[str, ...] = ("h",),
    paper: str = "",
    name: str | None = None,
    sizes: Mapping[str, Width] | None = None,
    bias_pair: bool = False,
    together: tuple[str, ...] = (),
) -> Callable[[Callable[..., Value]], Cell]:
    """Turn a function (x, *states, p) -> new states into a Cell. See `Cell` for the arguments.

    Raises ConfigError if the function's parameters are not x, the states, and p, in that order, or if the name, the
    states or the sizes cannot be.
    """

    def decorate(equations: Callable[..., Value]) -> Cell:
        code = equations.__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        expected = ("x", *states, "p")
        got = tuple(inspect.signature(equations).parameters)
        if got != expected:
            raise ConfigError(
                f"{where}: cell '{equations.__name__}' takes ({', '.join(got)}), expected ({', '.join(expected)}): "
                "the input x, then the states as named in @cell(states=...), then the parameters p."
            )
        word = name or equations.__name__
        if not re.fullmatch(r"[a-z][a-z0-9_]*", word):
            raise ConfigError(f"{where}: '{word}' is no name for a cell; use small letters, digits and _.")
        if problem := _wrong_states(states, sizes or {}, together):
            raise ConfigError(f"{where}: cell '{word}': {problem}")
        return Cell(word, tuple(states), equations, paper, bias_pair, dict(sizes or {}), tuple(together))

    return decorate


def _wrong_states(states: tuple[str, ...], sizes: Mapping[str, str], together: tuple[str, ...]) -> str:
    if not states:
        return "it has no state; a cell has at least one, and the first is its output."
    for state, size in sizes.items():
        if state not in states:
            return f"sizes names the state '{state}', which is not in states ({', '.join(states)})."
        if size not in ("H", "P"):
            return f"sizes['{state}'] is {size!r}, expected 'H' or 'P'."
    if unknown := [state for state in together if state not in states]:
        return f"together names the state '{unknown[0]}', which is not in states ({', '.join(states)})."
    return ""
