"""Recurrent layers alone as one ONNX file."""

from __future__ import annotations

import numpy as np
import torch

from recurra.export.onnx_graph import Drawing, Shape
from recurra.export.parts import Named, Part, padding, random_lengths, random_numbers, some_state
from recurra.export.recurrent import recurrent
from recurra.nn import Recurrent


def layers_alone(layers: Recurrent, *, for_any: bool) -> list[Part]:
    """x, lengths, first states -> output, last states, as the layers' own call."""
    draw, first = Drawing(for_any=for_any), "N" if layers.batch_first else "T"
    second = "T" if layers.batch_first else "N"
    x = draw.input("x", np.float32, (first, second, layers.input_size))
    lengths = draw.input("lengths", np.int64, ("N",))
    shapes = _state_shapes(layers)
    given = tuple(draw.input(f"{name}_0", np.float32, shape) for name, shape in shapes.items())
    turned = draw.put("Transpose", x, perm=[1, 0, 2]) if layers.batch_first else x
    output, states = recurrent(draw, layers, turned, lengths, given)
    output = draw.put("Transpose", output, perm=[1, 0, 2]) if layers.batch_first else output
    draw.output("output", output, np.float32, (first, second, layers.output_size))
    for (name, shape), state in zip(shapes.items(), states, strict=True):
        draw.output(f"{name}_n", state, np.float32, shape)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long = random_lengths(random, N, T)
        numbers = random_numbers(random, T, N, layers.input_size)
        numbers[padding(long, T)] = np.nan
        rows = layers.num_layers * layers.num_directions
        states = {f"{s}_0": some_state(random, s, (rows, N, int(shape[2]))) for s, shape in shapes.items()}
        return {"x": numbers.swapaxes(0, 1) if layers.batch_first else numbers, "lengths": long, **states}

    def answer(layers: Recurrent, inputs: Named) -> Named:
        given = tuple(torch.from_numpy(inputs[f"{name}_0"]) for name in shapes)
        x, lengths = torch.from_numpy(inputs["x"]), torch.from_numpy(inputs["lengths"])
        output, states = layers(x, given if len(given) > 1 else given[0], lengths=lengths)
        named = zip(shapes, states if isinstance(states, tuple) else (states,), strict=True)
        return {"output": output.numpy(), **{f"{name}_n": state.numpy() for name, state in named}}

    return [Part("", draw, ask, answer)]


def _state_shapes(layers: Recurrent) -> dict[str, Shape]:
    rows = layers.num_layers * layers.num_directions
    return {name: (rows, "N", size) for name, size in zip(layers.cell.states, layers.state_sizes(), strict=True)}
