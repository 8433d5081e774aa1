"""Whole models as ONNX graphs: what goes in, what comes out, and what the model itself says, to compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.export.drawing import Array, Drawing, Shape
from recurra.export.layers import clean, linear, write
from recurra.export.recurrent import last, recurrent
from recurra.models import Classifier, Tagger
from recurra.nn import Recurrent

Named = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a model.

    name:   what tells it from the model's other files; "" where there is one file
    draw:   its graph
    ask:    (random numbers, N, T) -> inputs by name, of sequences of 0 to T steps with anything in the padding
    answer: (the model in any floating type, inputs in the same) -> outputs by name
    """

    name: str
    draw: Drawing
    ask: Callable[[np.random.Generator, int, int], Named]
    answer: Callable[[Any, Named], Named]


# A model's type -> its files
PARTS: dict[type[nn.Module], Callable[[Any], list[Part]]] = {}


def parts_of(model: nn.Module) -> list[Part]:
    """The files of a model. Raises ConfigError for a kind of model that is not known."""
    for kind in type(model).__mro__:
        if kind in PARTS:
            return PARTS[kind](model)
    raise ConfigError(
        f"export: cannot write a {type(model).__name__} as ONNX; known models: "
        f"{', '.join(kind.__name__ for kind in PARTS)}."
    )


# -- random inputs -----------------------------------------------------------------------------------------------------


def random_lengths(random: np.random.Generator, N: int, T: int) -> Array:
    """(N,) whole numbers in 0..T; the first is T, and of three or more the second is 0."""
    lengths = random.integers(0, T + 1, N)
    lengths[:1] = T
    lengths[1:2] = 0 if N > 2 else lengths[1:2]
    return lengths.astype(np.int64)


def random_numbers(random: np.random.Generator, *shape: int) -> Array:
    """Normal, float32."""
    return random.standard_normal(shape).astype(np.float32)


def padding(lengths: Array, T: int) -> Array:
    """(T, N) bool, True where a step is padding."""
    return np.asarray(np.arange(T)[:, None] >= lengths)


# -- recurrent layers alone --------------------------------------------------------------------------------------------


def _recurrent(layers: Recurrent) -> list[Part]:
    """x, lengths, first states -> output, last states, as the layers' own call."""
    draw, first = Drawing(), "N" if layers.batch_first else "T"
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
        states = {f"{s}_0": _some_state(random, s, rows, N, shape) for s, shape in shapes.items()}
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


def _some_state(random: np.random.Generator, name: str, rows: int, N: int, shape: Shape) -> Array:
    """A first state as the layers could have left it: a normaliser is never near 0, so above 1."""
    numbers = random_numbers(random, rows, N, int(shape[2]))
    return np.abs(numbers) + np.float32(1) if name == "n" else numbers


# -- a sequence to logits ----------------------------------------------------------------------------------------------


def _classifier(model: Classifier) -> list[Part]:
    """tokens, lengths -> logits."""
    draw = Drawing()
    tokens = draw.input("tokens", np.int64, ("T", "N"))
    lengths = draw.input("lengths", np.int64, ("N",))
    x = write(draw, model.embedding, clean(draw, tokens, lengths))
    outputs, states = recurrent(draw, model.recurrent, x, lengths)
    pooled = write(draw, model.pool, outputs, last(draw, model.recurrent, states[0]), lengths)
    draw.output("logits", linear(draw, model.output, pooled), np.float32, ("N", model.output.out_features))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return {
            "tokens": random.integers(0, _table_size(model.embedding), (T, N)),
            "lengths": random_lengths(random, N, T),
        }

    def answer(model: Classifier, inputs: Named) -> Named:
        return _as_arrays(model(_batch(inputs, "lengths")).outputs)

    return [Part("", draw, ask, answer)]


def _table_size(embedding: nn.Module) -> int:
    """Tokens that an embedding knows."""
    table = embedding.weight if hasattr(embedding, "weight") else embedding.rows
    assert isinstance(table, torch.Tensor)
    return len(table)


def _batch(inputs: Mapping[str, Array], lengths: str) -> Batch:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return Batch(tensors, tensors[lengths], {}, ())


def _as_arrays(outputs: Mapping[str, torch.Tensor]) -> Named:
    return {name: tensor.numpy() for name, tensor in outputs.items()}


# -- a sequence to a label each ----------------------------------------------------------------------------------------


def _tagger(model: Tagger) -> list[Part]:
    """words, lengths, and with letters characters and character_lengths -> emissions, and the scores of the CRF."""
    draw = Drawing()
    words = draw.input("words", np.int64, ("T", "N"))
    lengths = draw.input("lengths", np.int64, ("N",))
    vectors = [write(draw, model.embedding, clean(draw, words, lengths))]
    if model.characters is not None:
        letters = draw.input("characters", np.int64, ("C", "T", "N"))
        each = draw.input("character_lengths", np.int64, ("T", "N"))
        vectors.append(write(draw, model.characters, letters, clean(draw, each, lengths)))
    outputs, _ = recurrent(draw, model.recurrent, draw.join(vectors, 2), lengths)
    L = model.output.out_features
    real = draw.spread(draw.real_steps(lengths, words), 2)
    emissions = draw.where(real, linear(draw, model.output, outputs))
    draw.output("emissions", emissions, np.float32, ("T", "N", L))
    for name, scores in ({} if model.crf is None else model.crf()).items():
        draw.output(name, draw.weight(scores, name), np.float32, tuple(scores.shape))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long = random_lengths(random, N, T)
        found = {"words": random.integers(0, _table_size(model.embedding), (T, N)), "lengths": long}
        if model.characters is not None:
            C, known = int(random.integers(1, 9)), _table_size(model.characters.embedding)
            found["characters"] = random.integers(0, known, (C, T, N))
            found["character_lengths"] = random.integers(0, C + 1, (T, N))
        return found

    def answer(model: Tagger, inputs: Named) -> Named:
        found = _as_arrays(model(_batch(inputs, "lengths")).outputs)
        # What the model says of padding may be anything; the file says zero.
        found["emissions"][padding(inputs["lengths"], len(inputs["words"]))] = 0
        return found

    return [Part("", draw, ask, answer)]


PARTS[Recurrent] = _recurrent
PARTS[Classifier] = _classifier
PARTS[Tagger] = _tagger
