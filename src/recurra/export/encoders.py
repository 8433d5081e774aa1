"""Models that read a sequence, one ONNX file each: recurrent layers alone, a classifier, a tagger."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from recurra.base.contracts import Batch
from recurra.export.layers import clean, linear, write
from recurra.export.onnx_graph import Array, Drawing, Shape
from recurra.export.parts import Named, Part, padding, random_lengths, random_numbers, some_state, table_size
from recurra.export.recurrent import last, recurrent
from recurra.models import Classifier, Tagger
from recurra.nn import Recurrent

# -- recurrent layers alone --------------------------------------------------------------------------------------------


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


# -- a sequence to logits ----------------------------------------------------------------------------------------------


def classifier(model: Classifier, *, for_any: bool) -> list[Part]:
    """tokens, lengths -> logits."""
    draw = Drawing(for_any=for_any)
    tokens = draw.input("tokens", np.int64, ("T", "N"))
    lengths = draw.input("lengths", np.int64, ("N",))
    x = write(draw, model.embedding, clean(draw, tokens, lengths))
    outputs, states = recurrent(draw, model.recurrent, x, lengths)
    pooled = write(draw, model.pool, outputs, last(draw, model.recurrent, states[0]), lengths)
    draw.output("logits", linear(draw, model.output, pooled), np.float32, ("N", model.output.out_features))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return {
            "tokens": random.integers(0, table_size(model.embedding), (T, N)),
            "lengths": random_lengths(random, N, T),
        }

    def answer(model: Classifier, inputs: Named) -> Named:
        return _as_arrays(model(_batch(inputs, "lengths")).outputs)

    return [Part("", draw, ask, answer)]


def _batch(inputs: Mapping[str, Array], lengths: str) -> Batch:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return Batch(tensors, tensors[lengths], {}, ())


def _as_arrays(outputs: Mapping[str, torch.Tensor]) -> Named:
    return {name: tensor.numpy() for name, tensor in outputs.items()}


# -- a sequence to a label each ----------------------------------------------------------------------------------------


def tagger(model: Tagger, *, for_any: bool) -> list[Part]:
    """words, lengths, and with letters characters and character_lengths -> emissions, and the scores of the CRF."""
    draw = Drawing(for_any=for_any)
    words = draw.input("words", np.int64, ("T", "N"))
    lengths = draw.input("lengths", np.int64, ("N",))
    vectors = [write(draw, model.embedding, clean(draw, words, lengths))]
    if model.characters is not None:
        letters = draw.input("characters", np.int64, ("C", "T", "N"))
        each = draw.input("character_lengths", np.int64, ("T", "N"))
        vectors.append(write(draw, model.characters, letters, clean(draw, each, lengths)))
    outputs, _ = recurrent(draw, model.recurrent, draw.join(vectors, 2), lengths)
    L = model.output.out_features
    real = draw.spread(draw.sequence_mask(lengths, words), 2)
    emissions = draw.where(real, linear(draw, model.output, outputs))
    draw.output("emissions", emissions, np.float32, ("T", "N", L))
    for name, scores in ({} if model.crf is None else model.crf()).items():
        draw.output(name, draw.weight(scores, name), np.float32, tuple(scores.shape))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long = random_lengths(random, N, T)
        found = {"words": random.integers(0, table_size(model.embedding), (T, N)), "lengths": long}
        if model.characters is not None:
            C, known = int(random.integers(1, 9)), table_size(model.characters.embedding)
            found["characters"] = random.integers(0, known, (C, T, N))
            found["character_lengths"] = random.integers(0, C + 1, (T, N))
        return found

    def answer(model: Tagger, inputs: Named) -> Named:
        found = _as_arrays(model(_batch(inputs, "lengths")).outputs)
        # What the model says of padding may be anything; the file says zero.
        found["emissions"][padding(inputs["lengths"], len(inputs["words"]))] = 0
        return found

    return [Part("", draw, ask, answer)]
