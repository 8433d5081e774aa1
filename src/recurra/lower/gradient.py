"""The gradient of a cell's graph, as a graph of the same kinds: reverse-mode differentiation, one rule a kind.

Source: Griewank & Walther 2008, Evaluating Derivatives, section 3.2 (the adjoint of each elementary operation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from recurra.cells import Cell
from recurra.lower.graph import PARAMETER_LEAVES, Builder, Graph, Node
from recurra.lower.trace import trace


@dataclass(frozen=True, slots=True)
class Gradient:
    """What the backward pass of one step computes.

    graph outputs, by name:
        state:h         gradient into the previous state h
        W:i R:i P:r     gradient into the result of that product (its weights' gradient is an outer product of this
                        with the product's argument, summed over steps and rows)
        b:i v:i gain:c  gradient into that parameter, row by row (to be summed over steps and rows)
    tape: places of forward nodes that must be kept, each a leaf of kind "forward" here
    """

    graph: Graph
    tape: tuple[int, ...]


@cache
def gradient(cell: Cell) -> Gradient:
    """The gradient graph of `cell`. Adjoint leaves are named after the new states."""
    forward = trace(cell)
    back = _Reverse(forward)
    for name, at in forward.outputs.items():
        back.flow(at, back.new.add(Node("adjoint", name=name, width=forward.nodes[at].width)))
    for at in reversed(range(len(forward.nodes))):
        back.pass_on(at)
    graph = back.new.finish(back.outputs())
    tape = sorted({int(n.value) for n in graph.nodes if n.kind == "forward"})
    return Gradient(graph, tuple(tape))


class _Reverse:
    """Adjoints of forward nodes, accumulated from the last node to the first."""

    def __init__(self, forward: Graph) -> None:
        self.forward = forward
        self.new = Builder()
        self.adjoint: dict[int, int] = {}

    def value(self, at: int) -> int:
        """The forward value at a place: from the tape, unless it is cheap to compute again.

        It is with a constant (1 - z), and for x / s with one s for all units, as in layer normalisation: x is mostly
        kept anyway.
        """
        node = self.forward.nodes[at]
        if node.kind in ("const", *PARAMETER_LEAVES):
            return self.new.add(node)
        if node.kind in ("neg", "add", "sub", "mul") and self._one_unknown(node):
            again = [self.value(a) for a in node.args]
            return self.new.unary("neg", *again) if node.kind == "neg" else self.new.binary(node.kind, *again)
        if node.kind == "div" and node.width != "1" and self.forward.nodes[node.args[1]].width == "1":
            scale = self.new.binary("div", self.new.const(1), self.value(node.args[1]))
            return self.new.binary("mul", self.value(node.args[0]), scale)
        return self.new.add(Node("forward", value=float(at), width=node.width))

    def _one_unknown(self, node: Node) -> bool:
        return sum(self.forward.nodes[a].kind != "const" for a in node.args) <= 1

    def flow(self, at: int, d: int) -> None:
        """Add the gradient at place `d` of the new graph to what flows into forward node `at`."""
        node, new = self.forward.nodes[at], self.new
        if node.kind == "const":
            return
        if node.width == "1" and new.nodes[d].width != "1":
            d = new.unary("sum", d)  # the value was broadcast over units
        self.adjoint[at] = new.binary("add", self.adjoint[at], d) if at in self.adjoint else d

    def pass_on(self, at: int) -> None:
        """Send the gradient of forward node `at` to its arguments."""
        node = self.forward.nodes[at]
        if at not in self.adjoint or not node.args or node.kind in ("W", "log_nonzero"):
            return
        for argument, d in zip(node.args, RULES[node.kind](self, at, node, self.adjoint[at]), strict=True):
            self.flow(argument, d)

    def outputs(self) -> dict[str, int]:
        """Places of the results that `Gradient` names."""
        wanted = ("W", "R", "P", *PARAMETER_LEAVES, "state")
        named = {f"{n.kind}:{n.name}": at for at, n in enumerate(self.forward.nodes) if n.kind in wanted}
        return {name: self.adjoint.get(at, self.new.const(0.0)) for name, at in named.items()}


Rule = Callable[[_Reverse, int, Node, int], tuple[int, ...]]


def _add(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return d, d


def _sub(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return d, r.new.unary("neg", d)


def _mul(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    a, b = n.args
    # A product with a constant needs nothing from the tape on the constant's side.
    return tuple(
        d if r.forward.nodes[own].kind == "const" else r.new.binary("mul", d, r.value(other))
        for own, other in ((a, b), (b, a))
    )


def _div(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    _, b = n.args
    da = r.new.binary("div", d, r.value(b))
    if r.forward.nodes[b].kind == "const":
        return da, d
    return da, r.new.unary("neg", r.new.binary("mul", da, r.value(at)))  # d(a/b)/db = -(a/b)/b


def _neg(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.unary("neg", d),)


def _sigmoid(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    y = r.value(at)
    slope = r.new.binary("mul", y, r.new.binary("sub", r.new.const(1), y))
    return (r.new.binary("mul", d, slope),)


def _tanh(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    y = r.value(at)
    slope = r.new.binary("sub", r.new.const(1), r.new.binary("mul", y, y))
    return (r.new.binary("mul", d, slope),)


def _relu(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.binary("mul", d, r.new.unary("step", r.value(at), value=0.0)),)


def _exp(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.binary("mul", d, r.value(at)),)


def _log(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.binary("div", d, r.value(n.args[0])),)


def _sqrt(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.binary("div", r.new.binary("mul", d, r.new.const(0.5)), r.value(at)),)


def _log_sigmoid(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    slope = r.new.unary("sigmoid", r.new.unary("neg", r.value(n.args[0])))
    return (r.new.binary("mul", d, slope),)


def _maximum(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    a, b = (r.value(k) for k in n.args)
    first = r.new.unary("step", r.new.binary("sub", a, b), value=0.5)
    return r.new.binary("mul", d, first), r.new.binary("mul", d, r.new.binary("sub", r.new.const(1), first))


def _mean(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    width = r.forward.nodes[n.args[0]].width
    units = r.new.add(Node("units", name=width, width="1"))
    return (r.new.spread(r.new.binary("div", d, units), width),)


def _R(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    argument = r.forward.nodes[n.args[0]]
    return (r.new.add(Node("R_T", (d,), n.name, width=argument.width)),)


def _P(r: _Reverse, at: int, n: Node, d: int) -> tuple[int, ...]:
    return (r.new.add(Node("P_T", (d,), n.name, width="H")),)


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "relu": _relu,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "log_sigmoid": _log_sigmoid,
    "maximum": _maximum,
    "mean": _mean,
    "R": _R,
    "P": _P,
}
