"""A picture and a text read together as one ONNX file: pixels or features, and tokens, in; the head's outputs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from recurra.base.contracts import Batch
from recurra.export.encoders import EncodedValues, encoded
from recurra.export.heads import answers, said
from recurra.export.inputs import Read, read
from recurra.export.layers import linear
from recurra.export.onnx_graph import FLOAT, Drawing, Value
from recurra.export.parts import Named, Part
from recurra.models import FusionModel
from recurra.models.fusion_model import FusedSide
from recurra.models.inputs import Images, Patches


def fusion_model(model: FusionModel, *, for_any: bool) -> list[Part]:
    """pixels (N, height, width, channels), or features with lengths; tokens with text_lengths -> the head's outputs."""
    draw = Drawing(for_any=for_any)
    image, words = cast(FusedSide, model.image), cast(FusedSide, model.text)
    picture, text = _seen(draw, image.inputs), read(draw, words.inputs, {"lengths": "text_lengths"})
    places, steps = _side(draw, image, picture), _side(draw, words, text)
    x, lengths = _one_behind_the_other(draw, *places, *steps)
    outputs = said(draw, model.head, encoded(draw, model.joint, x, lengths, {}))
    for name, one in outputs.items():
        draw.output(name, one.value, np.float32, one.shape)

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        asked = text.ask(random, N, T)
        asked["text_lengths"] = asked.pop("lengths")
        return {**picture.ask(random, N, T), **asked}

    def answer(model: FusionModel, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        if "pixels" in tensors:  # bytes become numbers of the model's own type
            tensors["pixels"] = tensors["pixels"].to(next(model.parameters()).dtype)
        lengths = tensors.get("lengths", torch.ones(len(inputs["text_lengths"]), dtype=torch.int64))
        found = model(Batch(tensors, lengths, {}, ()))
        return answers(found.outputs, outputs, inputs["text_lengths"])

    return [Part("", draw, ask, answer)]


def _seen(draw: Drawing, inputs: nn.Module) -> Read:
    """Draw what reads a picture: its pixels, or features."""
    writer = PIXELS.get(type(inputs))
    return read(draw, inputs, {}) if writer is None else writer(draw, inputs)


def _images(draw: Drawing, inputs: Images) -> Read:
    x, lengths = _scaled(draw, inputs.shape, 1)
    return Read(draw.spread(draw.put("Flatten", x, axis=1), 0), lengths, _asking(inputs.shape))


def _patches(draw: Drawing, inputs: Patches) -> Read:
    (rows, columns), p = inputs.grid, inputs.patch_size
    channels = inputs.project.in_features // p**2
    shape = (rows * p, columns * p, channels)
    x, lengths = _scaled(draw, shape, rows * columns)
    x = draw.put("Reshape", x, draw.integers(-1, rows, p, columns, p, channels))
    x = draw.put("Transpose", x, perm=[1, 3, 0, 2, 4, 5])
    x = draw.put("Reshape", x, draw.integers(rows * columns, -1, inputs.project.in_features))
    places = draw.weight(inputs.places.detach().unsqueeze(1), "places")
    return Read(draw.put("Add", linear(draw, inputs.project, x), places), lengths, _asking(shape))


def _scaled(draw: Drawing, shape: tuple[int, int, int], steps: int) -> tuple[Value, Value]:
    """Bytes (N, height, width, channels) as numbers from -1 to 1, and so many steps of each picture (N,)."""
    pixels = draw.input("pixels", np.uint8, ("N", *shape))
    x = draw.put("Div", draw.put("Cast", pixels, to=FLOAT), draw.constant(127.5))
    number = draw.spread(draw.size(pixels, 0), 0)
    lengths = draw.put("Expand", draw.constant(steps, np.int64), number)
    return draw.put("Sub", x, draw.constant(1.0)), lengths


def _asking(shape: tuple[int, int, int]) -> Callable[[np.random.Generator, int, int], Named]:
    return lambda random, N, T: {"pixels": random.integers(0, 256, (N, *shape)).astype(np.uint8)}


def _side(draw: Drawing, side: FusedSide, source: Read) -> tuple[Value, Value]:
    """As `FusedSide`: steps (S, N, D), and how many of each are real."""
    inside: EncodedValues = encoded(draw, side.encoder, source.x, source.lengths, {})
    return draw.put("Add", linear(draw, side.project, inside.outputs), draw.weight(side.kind, "kind")), inside.lengths


def _one_behind_the_other(
    draw: Drawing, first: Value, firsts: Value, second: Value, seconds: Value
) -> tuple[Value, Value]:
    """As `fusion_model.one_behind_the_other`, with as many steps as both have with their padding."""
    lengths, size = draw.put("Add", firsts, seconds), draw.size(first, 0)
    whole = draw.put("Add", size, draw.size(second, 0))
    at = draw.spread(draw.steps(whole), 1)
    behind = draw.put("Sub", draw.put("Add", at, size), draw.spread(firsts, 0))
    place = draw.put("Where", draw.put("Less", at, draw.spread(firsts, 0)), at, behind)
    place = draw.put("Where", draw.put("Less", at, draw.spread(lengths, 0)), place, whole)
    nothing = draw.put("Concat", draw.integers(1), draw.spread(draw.size(first, 1), 0), _width(draw, first), axis=0)
    x = draw.put("Concat", first, second, draw.put("Expand", draw.constant(0.0), nothing), axis=0)
    shape = draw.put("Concat", draw.spread(whole, 0), draw.spread(draw.size(first, 1), 0), _width(draw, first), axis=0)
    return draw.put("GatherElements", x, draw.put("Expand", draw.spread(place, 2), shape), axis=0), lengths


def _width(draw: Drawing, x: Value) -> Value:
    return draw.spread(draw.size(x, 2), 0)


# The type of what reads pixels -> what draws it
PIXELS: dict[type[nn.Module], Callable[[Drawing, Any], Read]] = {Images: _images, Patches: _patches}
