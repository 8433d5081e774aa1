"""A cell's equations, called with symbols, become a graph."""

from __future__ import annotations

import re
import sys
from functools import cache
from types import CodeType, FrameType
from typing import Any, NoReturn

from recurra.base.errors import ConfigError, RecurraError, ShapeError
from recurra.cells import Cell
from recurra.lower.graph import Builder, Graph, Node, NodeWidth

NO_BRANCHES = (
    "a cell's equations cannot branch on a value (if, and, or, while, max): "
    "use maximum, relu or a product with a gate; every unit takes the same path."
)


class Symbol:
    """A value that is not known yet: it has a tensor's operators, and each one adds a node."""

    __slots__ = ("at", "builder")

    def __init__(self, builder: Builder, at: int) -> None:
        self.builder = builder
        self.at = at

    @property
    def node(self) -> Node:
        return self.builder.nodes[self.at]

    def _lift(self, other: Any) -> int:
        if isinstance(other, Symbol):
            return other.at
        if isinstance(other, int | float):
            return self.builder.const(other)
        raise ConfigError(f"a cell's equations combine values with numbers or other values, not with {other!r}.")

    def _binary(self, kind: str, a: int, b: int) -> Symbol:
        return Symbol(self.builder, self.builder.binary(kind, a, b))

    def _unary(self, kind: str) -> Symbol:
        return Symbol(self.builder, self.builder.unary(kind, self.at))

    def __add__(self, other: Any) -> Symbol:
        return self._binary("add", self.at, self._lift(other))

    def __radd__(self, other: Any) -> Symbol:
        return self._binary("add", self._lift(other), self.at)

    def __sub__(self, other: Any) -> Symbol:
        return self._binary("sub", self.at, self._lift(other))

    def __rsub__(self, other: Any) -> Symbol:
        return self._binary("sub", self._lift(other), self.at)

    def __mul__(self, other: Any) -> Symbol:
        return self._binary("mul", self.at, self._lift(other))

    def __rmul__(self, other: Any) -> Symbol:
        return self._binary("mul", self._lift(other), self.at)

    def __truediv__(self, other: Any) -> Symbol:
        return self._binary("div", self.at, self._lift(other))

    def __rtruediv__(self, other: Any) -> Symbol:
        return self._binary("div", self._lift(other), self.at)

    def __neg__(self) -> Symbol:
        return self._unary("neg")

    def sigmoid(self) -> Symbol:
        return self._unary("sigmoid")

    def tanh(self) -> Symbol:
        return self._unary("tanh")

    def relu(self) -> Symbol:
        return self._unary("relu")

    def exp(self) -> Symbol:
        return self._unary("exp")

    def log(self) -> Symbol:
        return self._unary("log")

    def sqrt(self) -> Symbol:
        return self._unary("sqrt")

    def log_sigmoid(self) -> Symbol:
        return self._unary("log_sigmoid")

    def log_nonzero(self) -> Symbol:
        return self._unary("log_nonzero")

    def maximum(self, other: Any) -> Symbol:
        return self._binary("maximum", self.at, self._lift(other))

    def mean(self, dim: int, keepdim: bool) -> Symbol:
        """Mean over units, as `cells.language.mean` asks for it: dim -1, kept."""
        return self._unary("mean")

    def __bool__(self) -> NoReturn:
        raise ConfigError(NO_BRANCHES)

    def _compare(self, other: object) -> NoReturn:
        raise ConfigError(NO_BRANCHES)  # a comparison is only good for a branch

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = object.__hash__

    def __getattr__(self, word: str) -> NoReturn:
        raise ConfigError(
            f"a cell's equations cannot use '.{word}': the words are those of recurra.cells.language "
            "and + - * /, so that gradients and kernels can be derived."
        )


class SymbolicParameters:
    """The `p` of the equations, while they are being traced.

    equations: their code; frame: where it runs, once they have asked for a product. It outlives the call, and then
    holds what their local names stand for at the end, so that people see `i`, `f`, `c`. No hook of the interpreter is
    set: a profiler or a debugger may be using it.
    """

    def __init__(self, builder: Builder, equations: CodeType) -> None:
        self.builder = builder
        self.equations = equations
        self.frame: FrameType | None = None

    def __getattr__(self, word: str) -> NoReturn:
        raise ConfigError(f"p.{word} is no parameter; there are p.W, p.R, p.P, p.b, p.b_R, p.v and p.gain.")

    def _product(self, kind: str, gate: str, argument: Symbol, width: NodeWidth) -> Symbol:
        _check_gate(kind, gate)
        self.frame = self.frame or _running(self.equations)
        if not isinstance(argument, Symbol):
            raise ConfigError(f"p.{kind}('{gate}', ...) takes a value of the equations, not {argument!r}.")
        node = Node(kind, (argument.at,), gate, width=width)
        for other in self.builder.nodes:
            if (other.kind, other.name) == (kind, gate) and other != node:
                raise ConfigError(
                    f"p.{kind}('{gate}', ...) is used twice with different values; give the second another name."
                )
        return Symbol(self.builder, self.builder.add(node))

    def W(self, gate: str, x: Symbol) -> Symbol:
        product = self._product("W", gate, x, "H")
        if x.node.kind != "x":
            raise ConfigError(
                f"p.W('{gate}', ...) takes the input x itself, so that all steps are one product; use p.R for a state."
            )
        return product

    def R(self, gate: str, h: Symbol) -> Symbol:
        product = self._product("R", gate, h, "H")
        if h.node.width not in ("H", "P"):
            raise ConfigError(f"p.R('{gate}', ...) takes a value of the width of a state; use p.W for the input x.")
        return product

    def P(self, gate: str, h: Symbol) -> Symbol:
        product = self._product("P", gate, h, "P")
        if h.node.width != "H":
            raise ConfigError(f"p.P('{gate}', ...) projects from H units; got a value of width {h.node.width}.")
        return product

    def _leaf(self, kind: str, gate: str) -> Symbol:
        _check_gate(kind, gate)
        return Symbol(self.builder, self.builder.add(Node(kind, name=gate)))

    def b(self, gate: str) -> Symbol:
        return self._leaf("b", gate)

    def b_R(self, gate: str) -> Symbol:
        return self._leaf("b_R", gate)

    def v(self, gate: str) -> Symbol:
        return self._leaf("v", gate)

    def gain(self, gate: str) -> Symbol:
        return self._leaf("gain", gate)


def _check_gate(kind: str, gate: Any) -> None:
    # Gates become identifiers in kernels and keys in files, also when they come from a file of someone else.
    if not (isinstance(gate, str) and re.fullmatch(r"[A-Za-z0-9_]{1,40}", gate)):
        raise ConfigError(f"p.{kind}({gate!r}): a gate's name is 1 to 40 letters, digits and _.")


@cache
def trace(cell: Cell) -> Graph:
    """The graph of one step of `cell`: outputs are its new states.

    Raises ConfigError or ShapeError, naming the cell, if the equations leave the language.
    """
    builder = Builder()
    x = Symbol(builder, builder.add(Node("x", width="I")))
    states = tuple(
        Symbol(builder, builder.add(Node("state", name=name, width=cell.size(name)))) for name in cell.states
    )
    p = SymbolicParameters(builder, cell.equations.__code__)
    try:
        new = cell.step(x, states, p)
        _check_results(cell, new)
        _check_input(builder)
    except RecurraError as error:
        raise type(error)(f"{_place(cell)}: {error}") from None
    except (TypeError, AttributeError) as error:
        raise ConfigError(
            f"{_place(cell)}: {error}; the words are those of recurra.cells.language and + - * /."
        ) from error
    names = p.frame.f_locals if p.frame else {}
    labels = {s.at: name for name, s in names.items() if isinstance(s, Symbol) and s.node.args}
    return builder.finish({name: s.at for name, s in zip(cell.states, new, strict=True)}, labels)


def _running(code: CodeType) -> FrameType | None:
    """The innermost call of `code` that this one comes from."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame


def _place(cell: Cell) -> str:
    code = cell.equations.__code__
    return f"{code.co_filename}:{code.co_firstlineno}: cell '{cell.name}'"


def _check_input(builder: Builder) -> None:
    users = {node.kind for node in builder.nodes if 0 in node.args}  # x is the first node
    if users != {"W"}:
        raise ConfigError("the input x stands in p.W and only there, at least once; its width is not that of a state.")


def _check_results(cell: Cell, new: tuple[Any, ...]) -> None:
    if len(new) != len(cell.states):
        raise ConfigError(f"returns {len(new)} values, expected {len(cell.states)}: the new {', '.join(cell.states)}.")
    for name, value in zip(cell.states, new, strict=True):
        if not isinstance(value, Symbol):
            raise ConfigError(f"returns {value!r} as the new {name}; expected a value made from x and the states.")
        if value.node.width != cell.size(name):
            raise ShapeError(
                f"returns the new {name} with width {value.node.width}, expected {cell.size(name)}; "
                "declare projected states with @cell(sizes={'h': 'P'})."
            )
