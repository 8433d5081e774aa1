"""Decoders of autoencoders that say a row step by step, as ONNX; as `recurra.models.reconstructions`.

A decoder that reads what it has said is one loop in the file: what is expected of a step goes into the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.engine import Weights
from recurra.export.encoders import turned
from recurra.export.equations import step as cell_step
from recurra.export.layers import linear
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.recurrent import packed, recurrent
from recurra.export.transformers import through_all
from recurra.models.reconstructions import (
    HierarchicalReconstruction,
    RecurrentReconstruction,
    TransformerReconstruction,
)
from recurra.models.reconstructions.beginning import FirstStates
from recurra.nn import Recurrent


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for beside codes.

    lengths: (N,) steps of each row      steps: T, a whole number without axes
    mean: draws, in a graph, what is expected (N, D) of numbers (N, D P)
    """

    lengths: Value
    steps: Value
    mean: Callable[[Drawing, Value], Value]


def step_by_step(draw: Drawing, decoder: RecurrentReconstruction, codes: Value, wanted: Wanted) -> Value:
    """(T, N, D P) of a recurrent decoder."""
    layers, begun = decoder.recurrent, first_states(draw, decoder.first, decoder.begin, codes)
    if decoder.reads_back:
        before = draw.zeros(draw.size(codes, 0), decoder.values)
        numbers, _ = _read_back(draw, decoder, codes, [*_by_layer(draw, layers, begun), before], wanted, wanted.steps)
    else:
        outputs, _ = recurrent(draw, layers, _repeated(draw, codes, wanted.steps), wanted.lengths, begun)
        numbers = linear(draw, decoder.output, outputs)
    return turned(draw, numbers, wanted.lengths) if decoder.reverse else numbers


def bar_by_bar(draw: Drawing, decoder: HierarchicalReconstruction, codes: Value, wanted: Wanted) -> Value:
    """(T, N, D P) of a hierarchical decoder."""
    bar = draw.constant(decoder.bar, np.int64)

    def bars_of(steps: Value) -> Value:
        return draw.put("Div", draw.put("Add", steps, draw.constant(decoder.bar - 1, np.int64)), bar)

    bars, N = bars_of(wanted.steps), draw.size(codes, 0)
    begun = first_states(draw, decoder.first_of_all, decoder.begin, codes)
    read = _repeated(draw, codes, bars)
    conducted, _ = recurrent(draw, decoder.conductor, read, bars_of(wanted.lengths), begun)  # (U, N, C)
    said = (_bars_read_back if decoder.reads_back else _bars_at_once)(draw, decoder, conducted, wanted, N, bars)
    sizes = [draw.put("Mul", bars, bar), N, draw.constant(decoder.output.out_features, np.int64)]
    flat = draw.put("Reshape", said, draw.join([draw.spread(size, 0) for size in sizes], 0))
    return draw.put("Slice", flat, draw.integers(0), draw.spread(wanted.steps, 0), draw.integers(0))


def all_at_once(draw: Drawing, decoder: TransformerReconstruction, codes: Value, wanted: Wanted) -> Value:
    """(T, N, D P) of a decoder of attention, zero where padded."""
    each = _repeated(draw, linear(draw, decoder.project, codes), wanted.steps)
    real = draw.spread(draw.sequence_mask(wanted.lengths, each), 2)
    y = through_all(draw, decoder.places, decoder.blocks, decoder.norm, each, real)
    return draw.where(real, linear(draw, decoder.output, y))


def first_states(draw: Drawing, first: FirstStates, begin: Any, vectors: Value) -> tuple[Value, ...]:
    """(layers, N, width) of each state, as `FirstStates`."""
    widths = [own for own, _ in first.sizes if own]
    made = draw.put("Tanh", linear(draw, begin, vectors)) if widths else ""
    if made:
        made = draw.put("Reshape", made, draw.integers(0, first.layers, sum(widths)))
        made = draw.put("Transpose", made, perm=[1, 0, 2])
    parts = [made]
    if len(widths) > 1:
        parts = draw.puts("Split", [made, draw.integers(*widths)], len(widths), axis=2)
    own = iter(parts)
    N = draw.size(vectors, 0)
    return tuple(next(own) if width else draw.zeros(first.layers, N, size) for width, size in first.sizes)


def _repeated(draw: Drawing, codes: Value, steps: Value) -> Value:
    """(T, N, Z): the same at each step."""
    shape = draw.join([draw.spread(steps, 0), draw.integers(1, 1)], 0)
    return draw.put("Expand", draw.spread(codes, 0), shape)


def _by_layer(draw: Drawing, layers: Recurrent, states: Sequence[Value]) -> list[Value]:
    """States (N, width), those of each layer side by side, of (layers, N, width) each."""
    return [draw.take(state, layer, 0) for layer in range(layers.num_layers) for state in states]


def _bars_at_once(
    draw: Drawing, decoder: HierarchicalReconstruction, conducted: Value, wanted: Wanted, N: Value, bars: Value
) -> Value:
    """(U, bar, N, D P), no bar behind what was said of another."""
    bar, width = decoder.bar, decoder.conductor.output_size
    flat = draw.put("Reshape", conducted, draw.join([_product(draw, bars, N), draw.integers(width)], 0))
    starts = draw.put("Mul", draw.spread(draw.steps(bars), 1), draw.constant(bar, np.int64))
    left = draw.put("Sub", draw.spread(wanted.lengths, 0), starts)  # (U, N)
    left = draw.put("Max", draw.put("Min", left, draw.constant(bar, np.int64)), draw.constant(0, np.int64))
    steps = draw.put("Reshape", left, _product(draw, bars, N))
    # One more bar without steps, as there is none where T is 0, and ONNX Runtime ends the process over an LSTM without
    # rows.
    flat, steps = draw.one_more(flat), draw.one_more(steps, dtype=np.int64)
    begun = first_states(draw, decoder.first_of_bar, decoder.begin_bar, flat)
    read = _repeated(draw, flat, draw.constant(bar, np.int64))
    outputs, _ = recurrent(draw, decoder.recurrent, read, steps, begun)
    numbers = linear(draw, decoder.output, draw.all_but_last(outputs, axis=1))
    sizes = [draw.integers(bar), draw.spread(bars, 0), draw.spread(N, 0), draw.integers(decoder.output.out_features)]
    return draw.put("Transpose", draw.put("Reshape", numbers, draw.join(sizes, 0)), perm=[1, 0, 2, 3])


def _product(draw: Drawing, a: Value, b: Value) -> Value:
    """(1,) of two whole numbers."""
    return draw.spread(draw.put("Mul", a, b), 0)


def _bars_read_back(
    outer: Drawing, decoder: HierarchicalReconstruction, conducted: Value, wanted: Wanted, N: Value, bars: Value
) -> Value:
    """The same, each step behind what was said of the one before it, over the ends of bars."""
    draw, D, width = outer.body(), decoder.values, decoder.conductor.output_size
    before = draw.input(draw.named("before"), np.float32, ("N", D))
    vector = draw.input(draw.named("bar"), np.float32, ("N", width))
    begun = _by_layer(draw, decoder.recurrent, first_states(draw, decoder.first_of_bar, decoder.begin_bar, vector))
    steps = draw.constant(decoder.bar, np.int64)
    numbers, after = _read_back(draw, decoder, vector, [*begun, before], wanted, steps)
    draw.output(draw.named("after"), after, np.float32, ("N", D))
    draw.output(draw.named("numbers"), numbers, np.float32, (decoder.bar, "N", decoder.output.out_features))
    # One bar more, as a Scan needs one to run over.
    read = outer.put("Concat", conducted, outer.zeros(1, N, width), axis=0)
    begin = outer.zeros(N, D)
    _, said = outer.puts("Scan", [begin, read], 2, body=draw.graph("bar"), num_scan_inputs=1)
    return outer.put("Slice", said, outer.integers(0), outer.spread(bars, 0), outer.integers(0))


def _read_back(
    outer: Drawing,
    decoder: RecurrentReconstruction | HierarchicalReconstruction,
    read: Value,
    begin: Sequence[Value],
    wanted: Wanted,
    steps: Value,
) -> tuple[Value, Value]:
    """(T, N, D P), and what is expected of the last step (N, D).

    read: (N, ...) at each step, beside what was said of the step before
    begin: states (N, width) of all layers, and that of the first step (N, D)
    """
    body = _step_body(outer, decoder, read, wanted)
    # One step more, as a Scan needs one to run over; what is said after it is not wanted.
    one_more = outer.put("Add", steps, outer.constant(1, np.int64))
    *_, numbers, means = outer.puts(
        "Scan", [*begin, outer.steps(one_more)], len(begin) + 2, body=body, num_scan_inputs=1
    )
    said = outer.put("Slice", numbers, outer.integers(0), outer.integers(-1), outer.integers(0))
    return said, outer.take(means, -2, 0)


def _step_body(
    outer: Drawing, decoder: RecurrentReconstruction | HierarchicalReconstruction, read: Value, wanted: Wanted
) -> object:
    """One step: states, and what was said before, to the same anew, the numbers that are said, and their means."""
    draw, layers, D = outer.body(), decoder.recurrent, decoder.values
    widths = dict(zip(layers.cell.states, layers.state_sizes(), strict=True))
    old = [
        draw.input(draw.named(name), np.float32, ("N", width))
        for _ in range(layers.num_layers)
        for name, width in widths.items()
    ]
    before = draw.input(draw.named("before"), np.float32, ("N", D))
    draw.input(draw.named("step"), np.int64, ())
    x, new = draw.put("Concat", read, before, axis=-1), []
    for layer in range(layers.num_layers):
        weights = Weights(layers.cell, packed(layers, layer, 0))
        Wx = draw.put("MatMul", x, draw.weight(weights.packed["weight_ih"].T, "weight_ih"))
        new += cell_step(draw, weights, Wx, old[layer * len(widths) : (layer + 1) * len(widths)])
        x = new[layer * len(widths)]
    numbers = linear(draw, decoder.output, x)
    mean = wanted.mean(draw, numbers)
    sizes = [*widths.values()] * layers.num_layers
    for value, width in zip(new, sizes, strict=True):
        draw.output(draw.named("state"), value, np.float32, ("N", width))
    draw.output(draw.named("after"), mean, np.float32, ("N", D))
    draw.output(draw.named("numbers"), numbers, np.float32, ("N", decoder.output.out_features))
    draw.output(draw.named("means"), mean, np.float32, ("N", D))
    return draw.graph("step")
