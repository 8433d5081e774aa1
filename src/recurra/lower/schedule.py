"""In which order a step can be computed: what does not wait for the state, and which products go together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from recurra.cells import Cell
from recurra.lower.graph import Graph, ancestors
from recurra.lower.trace import trace


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of one step.

    hoisted: places of nodes that depend on x and parameters only, so they can be computed for all steps at once
    phases:  the products inside the step, in waves: gates of one wave share no dependency and one GEMM does them.
             An LSTM has one wave (i, f, g, o); the GRU with reset before the product has two (r, z), then (n)
    """

    hoisted: tuple[int, ...]
    phases: tuple[tuple[str, ...], ...]


@cache
def schedule(cell: Cell) -> Schedule:
    """The schedule of `cell`. A phase is named by kind and gate: "R:i", "P:r"."""
    graph = trace(cell)
    waits = {at for at, n in enumerate(graph.nodes) if n.kind == "state"}
    hoisted = tuple(at for at, n in enumerate(graph.nodes) if n.args and not waits & ancestors(graph.nodes, [at]))
    level = _levels(graph)
    waves: dict[tuple[int, int], list[str]] = {}
    for at, node in enumerate(graph.nodes):
        if node.kind in ("R", "P"):
            waves.setdefault((level[at], node.args[0]), []).append(f"{node.kind}:{node.name}")
    return Schedule(hoisted, tuple(tuple(waves[key]) for key in sorted(waves)))


def _levels(graph: Graph) -> list[int]:
    """For each node, how many products lie on the longest way to it, itself among them."""
    levels: list[int] = []
    for node in graph.nodes:
        levels.append(max((levels[a] for a in node.args), default=0) + (node.kind in ("R", "P")))
    return levels
