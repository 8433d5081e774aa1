"""Gates and other activations of a cell: their names, how saturated they are, and in which range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from recurra.cells import Cell
from recurra.engine.step_recording import Recording, real_rows
from recurra.lower import Graph, trace

# An activation is saturated where its slope is under a twentieth of the largest: little of a gradient comes through.
SLOPE = 0.05
# s (1 - s) < SLOPE / 4, and 1 - y^2 < SLOPE: both where the argument is beyond 4.36, for tanh beyond half of it.
SIGMOID_LOW = (1 - math.sqrt(1 - SLOPE)) / 2
SIGMOID_HIGH = 1 - SIGMOID_LOW
TANH_HIGH = math.sqrt(1 - SLOPE)


@dataclass(frozen=True, slots=True)
class Place:
    """An activation of a cell.

    gate:      a sigmoid that multiplies something; it may be shut or open for good, here and there
    remembers: it multiplies an old state, as a forget gate does, or reads a new one, as an LSTM's output does; then it
               may be saturated where all is well, because something is remembered
    """

    at: int
    name: str
    kind: str
    gate: bool
    remembers: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """What one activation did at all real steps, rows and units.

    low, high: shares of values, 0..1, that are saturated below and above (relu: low is the share of zeros)
    stuck:     share of the units that were saturated on the same side at every step of every row
    gradient:  root mean square over steps and rows of the norm of dL/da
    """

    name: str
    kind: str
    gate: bool
    remembers: bool
    smallest: float
    mean: float
    largest: float
    low: float
    high: float
    stuck: float
    gradient: float

    @property
    def saturated(self) -> float:
        """Share of values, 0..1, at which hardly any gradient comes through."""
        return self.low + self.high


@cache
def places(cell: Cell) -> tuple[Place, ...]:
    """The sigmoid, tanh and relu nodes of a cell, in the order of its equations, by the names that people know."""
    graph = trace(cell)
    found = [at for at, node in enumerate(graph.nodes) if node.kind in ("sigmoid", "tanh", "relu")]
    names = [_name(graph, at) for at in found]
    gates, remembering = _gating(graph), _keeping(graph) | _reading(graph)
    return tuple(
        Place(
            at,
            name if names.count(name) == 1 else f"{name} ({k + 1})",
            graph.nodes[at].kind,
            at in gates,
            at in remembering,
        )
        for k, (at, name) in enumerate(zip(found, names, strict=True))
    )


def _name(graph: Graph, at: int) -> str:
    """What the equations call it; else the state that it is; else the gate of its parameters; else what it takes."""
    if at in graph.labels:
        return graph.labels[at]
    for state, place in graph.outputs.items():
        if place == at:
            return state
    argument = graph.nodes[at].args[0]
    gates = _gates(graph, argument)
    if len(gates) == 1:
        return gates.pop()
    states = {place: state for state, place in graph.outputs.items()}
    return f"{graph.nodes[at].kind}({states.get(argument) or graph.labels.get(argument) or '...'})"


def _gates(graph: Graph, at: int) -> set[str]:
    """Gates of the parameters and products that are added up in this node, not looking through other activations."""
    node = graph.nodes[at]
    if node.kind in ("W", "R", "P", "b", "b_R", "v", "gain"):
        return {node.name}
    if node.kind not in ("add", "sub", "mul", "neg", "div"):
        return set()
    found: set[str] = set()
    return found.union(*(_gates(graph, a) for a in node.args))


def _gating(graph: Graph) -> set[int]:
    """Sigmoids that multiply something, as they are or as 1 - z."""
    factors = {_turned(graph, at) for node in graph.nodes if node.kind == "mul" for at in node.args}
    return {at for at in factors if graph.nodes[at].kind == "sigmoid"}


def _keeping(graph: Graph) -> set[int]:
    """Sigmoids that multiply an old state, as they are or as 1 - z."""
    kept = set()
    for node in graph.nodes:
        if node.kind == "mul":
            for gate, other in (node.args, node.args[::-1]):
                if graph.nodes[other].kind == "state":
                    kept.add(_turned(graph, gate))
    return {at for at in kept if graph.nodes[at].kind == "sigmoid"}


def _reading(graph: Graph) -> set[int]:
    """Activations of a new state itself."""
    states = set(graph.outputs.values())
    return {at for at, node in enumerate(graph.nodes) if set(node.args) & states}


def _turned(graph: Graph, at: int) -> int:
    """z of 1 - z; any other node is itself."""
    node = graph.nodes[at]
    turned = node.kind == "sub" and graph.nodes[node.args[0]].kind == "const"
    return node.args[1] if turned else at


def values_at(trail: Recording, at: int) -> Tensor:
    """(M, width) of one place, at all real steps of all rows."""
    return torch.cat([_whole(m.values[at].detach(), len(m.after[0]))[real_rows(m)] for m in trail.moments])


def _whole(value: Tensor, rows: int) -> Tensor:
    """(N, width), also of a value that is the same for all rows."""
    return value.expand(rows, *value.shape[-1:])


def measured(place: Place, values: Tensor, gradient: float) -> Activation:
    """Statistics of values (M, width), M > 0."""
    low, high = _saturated(place.kind, values)
    stuck = low.all(0) | high.all(0)
    return Activation(
        place.name,
        place.kind,
        place.gate,
        place.remembers,
        float(values.min()),
        float(values.mean()),
        float(values.max()),
        float(low.float().mean()),
        float(high.float().mean()),
        float(stuck.float().mean()),
        gradient,
    )


def _saturated(kind: str, values: Tensor) -> tuple[Tensor, Tensor]:
    if kind == "sigmoid":
        return values < SIGMOID_LOW, values > SIGMOID_HIGH
    if kind == "tanh":
        return values < -TANH_HIGH, values > TANH_HIGH
    return values <= 0, torch.zeros_like(values, dtype=torch.bool)
