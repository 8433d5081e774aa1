"""Which parameters a cell has, their shapes, and the order of the gates inside them: the order of first use.

The names are torch's, so that state dicts fit: weight_ih (input), weight_hh (recurrent), bias_ih, bias_hh,
weight_hr (projection); then weight_v (diagonal weights) and gain, which torch has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from recurra.base.errors import ConfigError
from recurra.cells import Cell
from recurra.lower.graph import Graph, NodeWidth
from recurra.lower.trace import trace


@dataclass(frozen=True, slots=True)
class Parameter:
    """One packed tensor: `gates` blocks of `rows` rows, one after the other; columns None for a vector.

    weight_ih (G*H, I)         weight_hh (G*H, width of h)   weight_hr (G*P, H)
    bias_ih, bias_hh (G*H,)    weight_v, gain (G*H,)
    """

    name: str
    kind: str
    gates: tuple[str, ...]
    rows: NodeWidth
    columns: NodeWidth | None

    def shape(self, sizes: dict[str, int]) -> tuple[int, ...]:
        """Its shape, given the sizes of "I", "H" and "P"."""
        rows = len(self.gates) * sizes[self.rows]
        return (rows,) if self.columns is None else (rows, sizes[self.columns])


@cache
def layout(cell: Cell, *, bias: bool = True) -> tuple[Parameter, ...]:
    """The parameters of one layer and direction, in torch's order of registration.

    A cell with `bias_pair` has bias_ih and bias_hh for every gate with a bias; they are added, except where the
    equations use p.b_R, which is the second one by itself.
    Raises ConfigError if the recurrent products take values of different widths, or a second bias has no first.
    """
    graph = trace(cell)
    gates = {kind: _gates(graph, kind) for kind in ("W", "R", "b", "b_R", "P", "v", "gain")}
    second = gates["b"] if cell.bias_pair else gates["b_R"]
    if not set(gates["b_R"]) <= set(second):
        raise ConfigError(f"cell '{cell.name}': every gate of p.b_R needs a p.b as well, for bias_pair to hold.")
    candidates = [
        Parameter("weight_ih", "W", gates["W"], "H", "I"),
        Parameter("weight_hh", "R", gates["R"], "H", recurrent_width(cell)),
        Parameter("bias_ih", "b", gates["b"] if bias else (), "H", None),
        Parameter("bias_hh", "b_R", second if bias else (), "H", None),
        Parameter("weight_hr", "P", gates["P"], "P", "H"),
        Parameter("weight_v", "v", gates["v"], "H", None),
        Parameter("gain", "gain", gates["gain"], "H", None),
    ]
    return tuple(p for p in candidates if p.gates)


def recurrent_width(cell: Cell) -> NodeWidth:
    """Width of what the recurrent products take: "H", or "P" where the output is projected."""
    graph = trace(cell)
    widths = {graph.nodes[n.args[0]].width for n in graph.nodes if n.kind == "R"}
    if len(widths) > 1:
        raise ConfigError(f"cell '{cell.name}': all p.R products must take values of one width, got {sorted(widths)}.")
    return widths.pop() if widths else cell.size(cell.states[0])


def projects(cell: Cell) -> bool:
    """Whether the cell's output is projected to P units."""
    return cell.size(cell.states[0]) == "P"


def _gates(graph: Graph, kind: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n.name for n in graph.nodes if n.kind == kind))
