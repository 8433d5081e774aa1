"""The graph of one time step: a closed list of node kinds, in topological order.

Leaves     x, state, b, b_R, v, gain, const
Products   W (of x), R, P (inside the step), and for gradients R_T, P_T (by the transposed weights)
Unit-wise  add sub mul div neg sigmoid tanh relu exp log sqrt log_sigmoid log_nonzero maximum step
Row-wise   mean (over units)
Gradients  forward (a value that the forward pass computed), adjoint (the gradient that flows into a new state),
           sum (over units), spread (one number a row, repeated over units), units (how many there are)

Widths: "I" input, "H" units, "P" projected units, "1" one number a row (broadcast in unit-wise nodes).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from recurra.base.errors import ShapeError

NodeWidth = Literal["I", "H", "P", "1"]

PARAMETER_LEAVES = ("b", "b_R", "v", "gain")
LEAVES = ("x", "state", *PARAMETER_LEAVES, "const", "units", "forward", "adjoint")
PRODUCTS = ("W", "R", "P", "R_T", "P_T")
UNARY = (
    "neg", "sigmoid", "tanh", "relu", "exp", "log", "sqrt", "log_sigmoid", "log_nonzero", "step",
    "mean", "sum", "spread",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "maximum")
KINDS = (*LEAVES, *PRODUCTS, *UNARY, *BINARY)


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the step. args are places of earlier nodes in the graph.

    name:  gate of a parameter or product, name of a state or adjoint
    value: a constant; the place of a forward node; the derivative that `step` takes at 0
    """

    kind: str
    args: tuple[int, ...] = ()
    name: str = ""
    value: float = 0.0
    width: NodeWidth = "H"


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which each comes after its arguments, and which of them are the results.

    outputs: result name -> place of its node; for a cell, the new states in the order of `Cell.states`
    labels:  place -> the name that the equations gave to it (`i`, `f`, `c`), for people
    """

    nodes: tuple[Node, ...]
    outputs: dict[str, int]
    labels: dict[int, str] = field(default_factory=dict)


class Builder:
    """Grows a graph. Equal nodes are made once, so a subexpression that is written twice is computed once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._places: dict[Node, int] = {}

    def add(self, node: Node) -> int:
        """The place of `node`, which is appended unless an equal one is there."""
        if node not in self._places:
            self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return self._places[node]

    def const(self, value: float) -> int:
        """A number."""
        return self.add(Node("const", value=float(value), width="1"))

    def unary(self, kind: str, a: int, *, value: float = 0.0) -> int:
        """A unit-wise function of one value, or its mean or sum over units."""
        width: NodeWidth = "1" if kind in ("mean", "sum") else self.nodes[a].width
        return self.add(Node(kind, (a,), value=value, width=width))

    def spread(self, a: int, width: NodeWidth) -> int:
        """One number a row, repeated over the units of `width`."""
        return self.add(Node("spread", (a,), width=width))

    def binary(self, kind: str, a: int, b: int) -> int:
        """A unit-wise function of two values of one width, or of a value and one number a row.

        Raises ShapeError if the widths do not fit.
        """
        if (folded := self._fold(kind, a, b)) is not None:
            return folded
        widths = {self.nodes[a].width, self.nodes[b].width} - {"1"}
        if len(widths) > 1:
            first, second = sorted(widths)
            raise ShapeError(
                f"{kind}: values of widths {first} and {second} meet; only equal widths can "
                "(a state that is projected to P units cannot be combined with one of H units)."
            )
        return self.add(Node(kind, (a, b), width=next(iter(widths), "1")))

    def _fold(self, kind: str, a: int, b: int) -> int | None:
        """Drop additions of 0 and multiplications by 1, which the gradient rules make."""
        constant = [n.value if (n := self.nodes[k]).kind == "const" else None for k in (a, b)]
        if kind == "mul" and 1.0 in constant:
            return b if constant[0] == 1.0 else a
        if kind == "add" and 0.0 in constant:
            return b if constant[0] == 0.0 else a
        return None

    def finish(self, outputs: dict[str, int], labels: dict[int, str] | None = None) -> Graph:
        """The graph of everything that the outputs need, in the same order."""
        return prune(tuple(self.nodes), outputs, labels or {})


def prune(nodes: Sequence[Node], outputs: dict[str, int], labels: dict[int, str]) -> Graph:
    """Keep only the nodes that an output depends on, and renumber them."""
    needed = ancestors(nodes, outputs.values())
    places = {old: new for new, old in enumerate(sorted(needed))}
    kept = tuple(
        Node(n.kind, tuple(places[a] for a in n.args), n.name, n.value, n.width)
        for n in (nodes[old] for old in sorted(needed))
    )
    return Graph(
        kept,
        {name: places[at] for name, at in outputs.items()},
        {places[at]: label for at, label in labels.items() if at in places},
    )


def ancestors(nodes: Sequence[Node], roots: Iterable[int]) -> set[int]:
    """Places of all nodes that the roots depend on, the roots among them."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        if (at := stack.pop()) not in seen:
            seen.add(at)
            stack.extend(nodes[at].args)
    return seen
