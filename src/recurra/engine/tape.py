"""Back-propagation through time by the derived gradient graph: the specification of every kernel's backward pass.

It computes exactly what a kernel computes (a tape of a few values a step, gate gradients step by step, weight gradients
as large products over all steps), but by walking the graphs with torch, so it can be read, and compared with autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.cells.language import log_nonzero
from recurra.engine.call import Call, Result, sequence_mask, without_padding
from recurra.lower import Graph, Node, gradient, layout, trace


@dataclass(frozen=True, slots=True)
class Tape:
    """What the backward pass needs. steps: one dict a time step, place of a forward node -> its value."""

    call: Call
    steps: tuple[dict[int, Tensor], ...]


@dataclass(frozen=True, slots=True)
class Gradients:
    """Gradients of a scalar. x: (T, N, I); states: as the initial states; weights: by parameter name, packed."""

    x: Tensor
    states: tuple[Tensor, ...]
    weights: dict[str, Tensor]


def forward(call: Call) -> tuple[Result, Tape]:
    """All time steps, keeping the tape and the arguments of the recurrent products.

    Raises ConfigError for a call with zoneout or a recurrent mask: the gradient graph knows neither.
    """
    if any(z is not None for z in call.zoneout) or call.recurrent_mask is not None:
        raise ConfigError("the gradient graph knows no zoneout and no recurrent mask; use backend='reference'.")
    graph, kinds = trace(call.cell), call.weights.by_kind()
    keep = set(gradient(call.cell).tape) | {n.args[0] for n in graph.nodes if n.kind in ("R", "P")}
    states, outputs, steps = call.states, [], []
    real = _real(call)
    x = without_padding(call.x, call.lengths)
    for t in _order(call):
        values = _evaluate(graph, _leaf(call, kinds, x[t], states), kinds)
        new = tuple(values[at] for at in graph.outputs.values())
        states = tuple(torch.where(real[t].unsqueeze(1), s, old) for s, old in zip(new, states, strict=True))
        outputs.append(torch.where(real[t].unsqueeze(1), new[0], torch.zeros_like(new[0])))
        steps.append({at: values[at] for at in keep})
    if call.reverse:
        outputs.reverse()
        steps.reverse()
    output = torch.stack(outputs) if outputs else call.x.new_zeros((0, *states[0].shape))
    return Result(output, states), Tape(call, tuple(steps))


def backward(tape: Tape, d_output: Tensor, d_states: tuple[Tensor, ...]) -> Gradients:
    """Gradients to the input, the initial states and every weight, given those of the output and the final states."""
    call, kinds, real = tape.call, tape.call.weights.by_kind(), _real(tape.call)
    if not tape.steps:  # no step: the gradients of the last states are those of the initial ones
        weights = {name: torch.zeros_like(tensor) for name, tensor in call.weights.packed.items()}
        return Gradients(torch.zeros_like(call.x), d_states, weights)
    graph = gradient(call.cell).graph
    wanted = {f"{kind}:{gate}" for kind, gates in kinds.items() for gate in gates}  # a layer may have no biases
    found: dict[str, list[Tensor]] = {name: [] for name in graph.outputs if name in wanted}
    carried = d_states
    for t in reversed(_order(call)):
        at_step = real[t].unsqueeze(1)
        first, *rest = carried
        flows = dict(zip(call.cell.states, (first + d_output[t], *rest), strict=True))
        values = _evaluate(graph, _gradient_leaf(tape.steps[t], flows, kinds), kinds)
        flow = {name: values[at] for name, at in graph.outputs.items()}
        N = call.x.shape[1]
        for name, d in found.items():
            width = kinds[name.split(":")[0]][name.split(":", 1)[1]].shape[0]
            d.append(torch.where(at_step, flow[name].expand(N, width), d_output.new_zeros(())))
        carried = tuple(
            torch.where(at_step, flow[f"state:{name}"] if f"state:{name}" in flow else torch.zeros_like(old), old)
            for name, old in zip(call.cell.states, carried, strict=True)
        )
    order = list(reversed(_order(call)))
    stacked = {
        name: torch.stack([d for _, d in sorted(zip(order, ds, strict=True), key=lambda p: p[0])])
        for name, ds in found.items()
    }
    return Gradients(_input_gradient(call, stacked), carried, _weight_gradients(tape, stacked, real))


def _input_gradient(call: Call, flows: dict[str, Tensor]) -> Tensor:
    """dL/dx = sum over gates of delta W, one product for all steps."""
    deltas = torch.cat([d for name, d in flows.items() if name.startswith("W:")], -1)
    gates = [name.removeprefix("W:") for name in flows if name.startswith("W:")]
    W = call.weights.by_kind()["W"]
    return deltas @ torch.cat([W[gate] for gate in gates])


def _weight_gradients(tape: Tape, flows: dict[str, Tensor], real: Tensor) -> dict[str, Tensor]:
    """Packed gradients: outer products with the arguments, summed over steps and rows; sums for vectors."""
    call, graph = tape.call, trace(tape.call.cell)
    x = without_padding(call.x, call.lengths)
    arguments = {f"{n.kind}:{n.name}": n.args[0] for n in graph.nodes if n.kind in ("R", "P")}

    def one(kind: str, gate: str) -> Tensor:
        if kind == "b_R" and f"b_R:{gate}" not in flows:
            kind = "b"  # a pair of biases that are added share their gradient
        flow = flows[f"{kind}:{gate}"]
        if kind == "W":
            return torch.einsum("tnh,tni->hi", flow, x)
        if kind in ("R", "P"):
            argument = torch.stack([step[arguments[f"{kind}:{gate}"]] for step in tape.steps])
            return torch.einsum("tnh,tnk->hk", flow, argument)
        return flow.sum((0, 1))

    return {
        p.name: torch.cat([one(p.kind, gate) for gate in p.gates])
        for p in layout(call.cell, bias="bias_ih" in call.weights.packed)
    }


def _evaluate(graph: Graph, leaf: Callable[[Node], Tensor], kinds: dict[str, dict[str, Tensor]]) -> list[Tensor]:
    """Values of all nodes, in order."""
    values: list[Tensor] = []
    for node in graph.nodes:
        values.append(_compute(node, [values[a] for a in node.args], kinds) if node.args else leaf(node))
    return values


def _compute(node: Node, a: list[Tensor], kinds: dict[str, dict[str, Tensor]]) -> Tensor:
    match node.kind:
        case "W" | "R" | "P":
            return a[0] @ kinds[node.kind][node.name].T
        case "R_T" | "P_T":
            return a[0] @ kinds[node.kind[0]][node.name]
        case "sum" | "mean":
            rows: Tensor = getattr(a[0], node.kind)(-1, keepdim=True)
            return rows
        case "spread":
            return a[0].expand(-1, _units(node.width, kinds))
        case "step":
            return torch.heaviside(a[0], a[0].new_tensor(node.value))
        case "log_sigmoid":
            return torch.nn.functional.logsigmoid(a[0])
        case "log_nonzero":
            return log_nonzero(a[0])  # type: ignore[no-any-return]
        case _:
            value: Tensor = getattr(torch, node.kind)(*a)
            return value


def _leaf(
    call: Call, kinds: dict[str, dict[str, Tensor]], x: Tensor, states: tuple[Tensor, ...]
) -> Callable[[Node], Tensor]:
    by_name = dict(zip(call.cell.states, states, strict=True))

    def leaf(node: Node) -> Tensor:
        match node.kind:
            case "x":
                return x
            case "state":
                return by_name[node.name]
            case "const":
                return x.new_tensor(node.value)
        return kinds[node.kind][node.name] if node.kind in kinds else x.new_zeros(())

    return leaf


def _gradient_leaf(
    step: dict[int, Tensor], flows: dict[str, Tensor], kinds: dict[str, dict[str, Tensor]]
) -> Callable[[Node], Tensor]:
    some = next(iter(flows.values()))

    def leaf(node: Node) -> Tensor:
        match node.kind:
            case "forward":
                return step[int(node.value)]
            case "adjoint":
                return flows[node.name]
            case "const":
                return some.new_tensor(node.value)
            case "units":
                return some.new_tensor(float(_units(node.name, kinds)))
        return kinds[node.kind][node.name] if node.kind in kinds else some.new_zeros(())

    return leaf


def _units(width: str, kinds: dict[str, dict[str, Tensor]]) -> int:
    """How many units a width has: H from the input weights, P from the projection, one for a number a row."""
    if width == "1":
        return 1
    return next(iter(kinds["P" if width == "P" else "W"].values())).shape[0]


def _order(call: Call) -> list[int]:
    T = call.x.shape[0]
    return list(range(T - 1, -1, -1) if call.reverse else range(T))


def _real(call: Call) -> Tensor:
    T, N, _ = call.x.shape
    if call.lengths is None:
        return torch.ones(T, N, dtype=torch.bool, device=call.x.device)
    return sequence_mask(call.lengths, T)
