"""Recurrent layers as ONNX nodes: RNN, LSTM or GRU where the operator set has the cell, else a Scan over its equations.

The mask law holds in both: what stands in the padding reaches nothing, outputs are zero there, and a sequence of
length 0 keeps its first states.

Not every runtime reads the lengths of a node, or peephole weights, so a file for any runtime says neither: sequences
are turned round before a node that would read them backwards, so that padding always comes last; the last h is taken
where its sequence ends; and an LSTM holds its memory through the padding, by gates that one more input shuts there.
Source of the operators: onnx.ai, operator set 17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recurra.cells import CELLS, Cell
from recurra.engine import Weights
from recurra.export.equations import step
from recurra.export.onnx_graph import FLOAT, INT32, Drawing, Value
from recurra.lower import equal, layout
from recurra.nn import Recurrent

States = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Standard:
    """A node of ONNX that is one of our cells. gates: in the node's order; options: its attributes, those with lists
    for one direction."""

    cell: str
    node: str
    gates: tuple[str, ...]
    peepholes: tuple[str, ...] = ()
    linear_before_reset: int | None = None
    activation: str | None = None

    def attributes(self, directions: int) -> dict[str, object]:
        """What the node is told beside its sizes."""
        found: dict[str, object] = {}
        if self.linear_before_reset is not None:
            found["linear_before_reset"] = self.linear_before_reset
        if self.activation is not None:
            found["activations"] = [self.activation] * directions
        return found


STANDARD = (
    Standard("rnn", "RNN", ("h",), activation="Tanh"),
    Standard("rnn_relu", "RNN", ("h",), activation="Relu"),
    Standard("rnn_sigmoid", "RNN", ("h",), activation="Sigmoid"),
    Standard("lstm", "LSTM", ("i", "o", "f", "g")),
    Standard("lstm_peephole", "LSTM", ("i", "o", "f", "g"), peepholes=("i", "o", "f")),
    Standard("gru", "GRU", ("z", "r", "n"), linear_before_reset=1),
    Standard("gru_reset_before", "GRU", ("z", "r", "n"), linear_before_reset=0),
)

# What is added, in the padding, to the gates of an LSTM: the input gate is 0 and the forget gate 1, exactly, so that
# the memory is held. 2^17 outweighs all else that a gate sees: after a step an LSTM's h is within -1..1, and x is zero.
HOLD = {"i": -131072.0, "f": 131072.0}

MERGES: Mapping[str, Callable[[Drawing, Value, Value], Value]] = {
    "concat": lambda draw, forward, backward: draw.put("Concat", forward, backward, axis=-1),
    "sum": lambda draw, forward, backward: draw.put("Add", forward, backward),
    "mean": lambda draw, forward, backward: draw.put("Mul", draw.put("Add", forward, backward), draw.constant(0.5)),
    "product": lambda draw, forward, backward: draw.put("Mul", forward, backward),
}


def standard(cell: Cell) -> Standard | None:
    """The node that computes this cell, if ONNX has one. It goes by the equations, not by the name."""
    return next((one for one in STANDARD if equal(CELLS[one.cell], cell)), None)


def node_of(layers: Recurrent, *, for_any: bool = True) -> str:
    """The word of the node that runs these layers, in any runtime or in ONNX Runtime: "RNN", "LSTM", "GRU", "Scan"."""
    found = None if any(layers.zoneout) else standard(layers.cell)
    return "Scan" if found is None or (found.peepholes and for_any) else found.node


def recurrent(
    draw: Drawing, layers: Recurrent, x: Value, lengths: Value, states: States | None = None
) -> tuple[Value, States]:
    """All layers over x (T, N, I), anything where padded, with lengths (N,) int64; as `nn.Recurrent.forward`.

    states: first states (layers * directions, N, width); zeros if None
    Returns the last layer's merged outputs (T, N, F), and the last states.
    """
    kind = standard(layers.cell) if node_of(layers, for_any=draw.for_any) != "Scan" else None
    one_more = kind is None or draw.for_any
    if one_more:  # of padding, so that a Scan, or a node that is told no length, always has a step to run over
        x = draw.put("Concat", x, draw.zeros(1, draw.size(x, 1), layers.input_size), axis=0)
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    call = _Call(draw, lengths, real)
    x = draw.where(real, x)
    if kind is not None and kind.node == "LSTM" and draw.for_any:
        call = replace(call, held=draw.put("Cast", draw.put("Not", real), to=FLOAT))
    D, final = layers.num_directions, []
    for layer in range(layers.num_layers):
        first = None if states is None else tuple(_some(draw, s, layer, layers) for s in states)
        weights = [Weights(layers.cell, packed(layers, layer, direction)) for direction in range(D)]
        if kind is None:
            outputs, ends = _scans(call, layers, weights, x, first)
        else:
            node = _unaided if draw.for_any else _node
            outputs, ends = node(call, kind, layers, weights, x, first)
        x = MERGES[layers.merge](draw, *outputs) if layers.bidirectional else outputs[0]
        final.append(ends)
    if one_more:
        x = draw.put("Slice", x, draw.integers(0), draw.integers(-1), draw.integers(0))
    return x, tuple(draw.join(column, 0) for column in zip(*final, strict=True))


def last(draw: Drawing, layers: Recurrent, state: Value) -> Value:
    """The last layer's final h, its directions merged: (N, F); as `nn.Recurrent.last`."""
    if not layers.bidirectional:
        return draw.take(state, -1, 0)
    return MERGES[layers.merge](draw, draw.take(state, -2, 0), draw.take(state, -1, 0))


@dataclass(frozen=True, slots=True)
class _Call:
    """What all layers share. real: (T, N, 1) bool      held: 1 where it is not and 0 where it is, if a node reads it"""

    draw: Drawing
    lengths: Value
    real: Value
    held: Value | None = None

    def reverse_sequences(self, x: Value) -> Value:
        """Each sequence of x (T, N, ...) backwards within its length."""
        return self.draw.put("ReverseSequence", x, self.lengths, time_axis=0, batch_axis=1)


def packed(layers: Recurrent, layer: int, direction: int) -> dict[str, Tensor]:
    """The parameters of one layer and direction, by name."""
    tensors = layers.all_weights[layer * layers.num_directions + direction]
    return {p.name: t.detach() for p, t in zip(layout(layers.cell, bias=layers.bias), tensors, strict=True)}


def _some(draw: Drawing, states: Value, layer: int, layers: Recurrent) -> Value:
    """The states (directions, N, width) of one layer."""
    if layers.num_layers == 1:
        return states
    places = range(layer * layers.num_directions, (layer + 1) * layers.num_directions)
    return draw.put("Gather", states, draw.integers(*places), axis=0)


# -- a node a direction, for any runtime -------------------------------------------------------------------------------


def _unaided(
    call: _Call, kind: Standard, layers: Recurrent, weights: Sequence[Weights], x: Value, first: States | None
) -> tuple[list[Value], States]:
    """Outputs (T, N, H) of each direction, and last states (directions, N, H); no node is told a length."""
    draw = call.draw
    x = x if call.held is None else draw.put("Concat", x, call.held, axis=2)
    some = draw.spread(draw.put("Greater", call.lengths, draw.constant(0, np.int64)), 0, 2)
    outputs, ends = [], []
    for direction, one in enumerate(weights):
        begin = _first(call, layers, x, direction, first)
        read = call.reverse_sequences(x) if direction else x
        stacked = _stacked(draw, kind, [one], layers.hidden_size, hold=call.held is not None)
        names = 1 + len(layers.cell.states)
        output, _, *memory = draw.puts(
            kind.node, [read, *stacked[:3], "", *begin], names, hidden_size=layers.hidden_size, **kind.attributes(1)
        )
        output = draw.put("Squeeze", output, draw.integers(1))
        if first is not None:  # a first h may outweigh `HOLD`, and a row without steps keeps what it began with
            memory = [draw.where(some, state, old) for state, old in zip(memory, begin[1:], strict=True)]
        ends.append([_where_it_ends(call, output, begin[0], layers.hidden_size), *memory])
        outputs.append(draw.where(call.real, call.reverse_sequences(output) if direction else output))
    return outputs, tuple(draw.join(column, 0) for column in zip(*ends, strict=True))


def _first(call: _Call, layers: Recurrent, x: Value, direction: int, first: States | None) -> States:
    """First states (1, N, H) of a direction."""
    draw = call.draw
    if first is None:
        N = draw.size(x, 1)
        return tuple(draw.zeros(1, N, width) for width in layers.state_sizes())
    if not layers.bidirectional:
        return first
    return tuple(draw.spread(draw.take(state, direction, 0), 0) for state in first)


def _where_it_ends(call: _Call, output: Value, first: Value, H: int) -> Value:
    """The last real h (1, N, H) of each sequence, from all of them (T, N, H), or the first one (1, N, H)."""
    draw = call.draw
    places = draw.put("Expand", draw.spread(call.lengths, 0, 2), draw.put("Shape", first))
    return draw.put("GatherElements", draw.put("Concat", first, output, axis=0), places, axis=0)


# -- a node for the whole layer, for ONNX Runtime ----------------------------------------------------------------------


def _node(
    call: _Call, kind: Standard, layers: Recurrent, weights: Sequence[Weights], x: Value, first: States | None
) -> tuple[list[Value], States]:
    """Outputs (T, N, H) of each direction, and last states (directions, N, H)."""
    draw, D = call.draw, len(weights)
    stacked = _stacked(draw, kind, weights, layers.hidden_size)
    lengths = draw.put("Cast", call.lengths, to=INT32)
    names = len(layers.cell.states)
    inputs = [x, *stacked[:3], lengths, *(first or ("",) * names), *stacked[3:]]
    output, *states = draw.puts(
        kind.node,
        inputs,
        1 + names,
        hidden_size=layers.hidden_size,
        direction="bidirectional" if D == 2 else "forward",
        **kind.attributes(D),
    )
    # ONNX leaves open what the last state of an empty sequence is; ONNX Runtime says zero, we say its first state.
    some = draw.spread(draw.put("Greater", call.lengths, draw.constant(0, np.int64)), 0, 2)
    kept: Sequence[Value | float] = first or (0.0,) * names
    ends = tuple(draw.where(some, state, old) for state, old in zip(states, kept, strict=True))
    return [draw.take(output, direction, 1) for direction in range(D)], ends


def _stacked(draw: Drawing, kind: Standard, weights: Sequence[Weights], H: int, *, hold: bool = False) -> list[Value]:
    """W, R, B ("" without biases) and, with peepholes, P of all directions, gates in the node's order.

    hold: with one more column of W, which holds the memory of an LSTM (`HOLD`)
    """
    kinds = [one.by_kind() for one in weights]

    def stack(word: str, gates: Sequence[str]) -> Tensor:
        return torch.stack([torch.cat([part[word][gate] for gate in gates]) for part in kinds])

    W = stack("W", kind.gates)
    if hold:
        column = torch.tensor([HOLD.get(gate, 0.0) for gate in kind.gates], dtype=W.dtype).repeat_interleave(H)
        W = torch.cat([W, column.expand(len(W), -1).unsqueeze(2)], 2)
    found = [draw.weight(W, "weight_ih"), draw.weight(stack("R", kind.gates), "weight_hh"), ""]
    if "b" in kinds[0]:
        biases = stack("b", kind.gates)
        second = torch.stack([torch.cat([_second(part, gate, H) for gate in kind.gates]) for part in kinds])
        found[2] = draw.weight(torch.cat([biases, second], 1), "bias")
    if kind.peepholes:
        found.append(draw.weight(stack("v", kind.peepholes), "weight_v"))
    return found


def _second(kinds: Mapping[str, Mapping[str, Tensor]], gate: str, H: int) -> Tensor:
    """The bias on the recurrent side that is not part of the first one: only the candidate of a GRU has it."""
    own = kinds.get("b_R", {}).get(gate)
    return kinds["b"][gate].new_zeros(H) if own is None else own


# -- a loop over the equations -----------------------------------------------------------------------------------------


def _scans(
    call: _Call, layers: Recurrent, weights: Sequence[Weights], x: Value, first: States | None
) -> tuple[list[Value], States]:
    """Outputs (T, N, width) of each direction, and last states (directions, N, width)."""
    draw, outputs, ends = call.draw, [], []
    for direction, one in enumerate(weights):
        if first is None:
            N = draw.size(x, 1)
            begin = tuple(draw.zeros(N, width) for width in layers.state_sizes())
        else:
            begin = tuple(draw.take(state, direction, 0) for state in first)
        output, states = _scan(call, layers, one, x, begin, reverse=direction == 1)
        outputs.append(output)
        ends.append([draw.spread(state, 0) for state in states])
    return outputs, tuple(draw.join(column, 0) for column in zip(*ends, strict=True))


def _scan(
    call: _Call, layers: Recurrent, weights: Weights, x: Value, begin: States, *, reverse: bool
) -> tuple[Value, list[Value]]:
    """One direction: all products with the input at once, then the equations step by step."""
    draw = call.draw
    Wx = draw.put("MatMul", x, draw.weight(weights.packed["weight_ih"].T, "weight_ih"))
    body = _body(draw, layers, weights)
    turned = [int(reverse)]
    *states, output = draw.puts(
        "Scan",
        [*begin, Wx, call.real],
        len(begin) + 1,
        body=body,
        num_scan_inputs=2,
        scan_input_directions=turned * 2,
        scan_output_directions=turned,
    )
    return output, states


def _body(outer: Drawing, layers: Recurrent, weights: Weights) -> object:
    """One step: states (N, width), W x_t (N, G*H) and real (N, 1) to the new states and the output."""
    draw, cell = outer.body(), layers.cell
    widths = dict(zip(cell.states, layers.state_sizes(), strict=True))
    old = [draw.input(draw.named(name), np.float32, ("N", width)) for name, width in widths.items()]
    Wx = draw.input(draw.named("input"), np.float32, ("N", len(weights.packed["weight_ih"])))
    real = draw.input(draw.named("real"), np.bool_, ("N", 1))
    new = step(draw, weights, Wx, old)
    new = [zone(draw, p, was, now) for p, was, now in zip(layers.zoneout, old, new, strict=True)]
    for (name, width), was, now in zip(widths.items(), old, new, strict=True):
        draw.output(draw.named(f"new_{name}"), draw.where(real, now, was), np.float32, ("N", width))
    output = widths[cell.states[0]]
    draw.output(draw.named("output"), draw.where(real, new[0]), np.float32, ("N", output))
    return draw.graph("step")


def zone(draw: Drawing, zoneout: float, old: Value, new: Value) -> Value:
    """The expectation of a state that keeps its old value at random (Krueger et al. 2017, eq. 3)."""
    if not zoneout:
        return new
    kept = draw.put("Mul", draw.constant(zoneout), old)
    return draw.put("Add", kept, draw.put("Mul", draw.constant(1 - zoneout), new))
