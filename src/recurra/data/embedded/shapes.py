"""What is in the picture? One or two shapes, drawn here, with sentences from a small grammar.

A picture has two sentences, each a row. What is drawn, and how it is said, is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.pictures import Pixels, png_of

# Pictures of each split, and pixels of a side.
PICTURES = {"train": 600, "dev": 60, "test": 120}
SIDE = 48
SENTENCES = 2
COLOURS = {
    "red": (214, 40, 40),
    "green": (44, 150, 60),
    "blue": (40, 90, 200),
    "yellow": (240, 200, 30),
    "purple": (130, 60, 170),
    "black": (25, 25, 25),
}
SHAPES = ("circle", "square", "triangle", "ring", "cross")
# Half the side of a shape, in pixels.
RADII = {"small": 5, "large": 9}
# Where the first of two shapes stands beside the second: rows and columns of both centres.
PLACES = {
    "above": ((13, 24), (35, 24)),
    "below": ((35, 24), (13, 24)),
    "left of": ((24, 13), (24, 35)),
    "right of": ((24, 35), (24, 13)),
}
Thing = tuple[str, str, str]


@cache
def _scenes(split: str) -> tuple[tuple[tuple[Thing, ...], str, tuple[str, str]], ...]:
    """Things of each picture, how the first stands to the second, and two sentences."""
    rng = Random(f"shapes {split}")  # noqa: S311 no secret, but the same pictures everywhere
    return tuple(_scene(rng) for _ in range(PICTURES[split]))


def _scene(rng: Random) -> tuple[tuple[Thing, ...], str, tuple[str, str]]:
    things = tuple(_thing(rng) for _ in range(rng.choice((1, 2, 2))))
    place = rng.choice(tuple(PLACES))
    first, second = _said(things, place, rng), _said(things, place, rng)
    while second == first:
        second = _said(things, place, rng)
    return things, place, (first, second)


def _thing(rng: Random) -> Thing:
    return rng.choice(tuple(RADII)), rng.choice(tuple(COLOURS)), rng.choice(SHAPES)


def _said(things: tuple[Thing, ...], place: str, rng: Random) -> str:
    """A sentence: each thing in one of three ways, in one of three frames."""
    named = [_named(thing, rng) for thing in things]
    if len(named) == 1:
        return rng.choice(("{}", "there is {}", "a picture of {}")).format(*named)
    return rng.choice(("{0} {2} {1}", "there is {0} {2} {1}", "{0} is {2} {1}")).format(*named, place)


def _named(thing: Thing, rng: Random) -> str:
    size, colour, shape = thing
    return rng.choice((f"a {size} {colour} {shape}", f"one {size} {shape} in {colour}", f"a {colour} {shape}"))


def _records(split: str) -> Iterator[Record]:
    for number, (_, _, sentences) in enumerate(_scenes(split)):
        for k, sentence in enumerate(sentences):
            fields = {"image": _name(split, number + 1), "caption": sentence}
            yield Record(fields, Origin(f"shapes/{split}", SENTENCES * number + k + 1))


def _name(split: str, number: int) -> str:
    return f"shapes_{split}/{number:04d}.png"


def _files(split: str) -> Iterator[tuple[str, bytes]]:
    """The pictures, each by its name."""
    for number, (things, place, _) in enumerate(_scenes(split), start=1):
        rng = Random(f"picture {split} {number}")  # noqa: S311
        yield _name(split, number), png_of(picture(things, place, rng))


def picture(things: tuple[Thing, ...], place: str, rng: Random) -> Pixels:
    """(SIDE, SIDE, 3): the things on light grey, each a few pixels from its place."""
    found = np.full((SIDE, SIDE, 3), rng.randint(225, 255), np.float64)
    centres = PLACES[place] if len(things) == 2 else ((SIDE // 2, SIDE // 2),)
    for (size, colour, shape), (row, column) in zip(things, centres, strict=True):
        cover = _covered(shape, RADII[size], row + rng.randint(-3, 3), column + rng.randint(-3, 3))[:, :, None]
        found = (1 - cover) * found + cover * np.array(COLOURS[colour], np.float64)
    return found.round().astype(np.uint8)


def _covered(shape: str, radius: int, row: int, column: int) -> NDArray[np.float64]:
    """(SIDE, SIDE) 0..1: how much of each pixel a shape covers; its edges are a pixel wide."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    y, x = y - row, x - column
    far = np.hypot(y, x)
    inside = {
        "circle": radius - far,
        "square": radius - np.maximum(abs(y), abs(x)),
        "triangle": np.minimum(radius - y, 0.9 * (y + radius) / 2 - abs(x)),
        "ring": np.minimum(radius - far, far - 0.5 * radius),
        "cross": np.minimum(radius - np.maximum(abs(y), abs(x)), 0.35 * radius - np.minimum(abs(y), abs(x))),
    }[shape]
    covered: NDArray[np.float64] = np.clip(inside + 0.5, 0.0, 1.0)
    return covered


SHAPES_SET = EmbeddedSet(
    description="what is in the picture? one or two shapes with two sentences each",
    licence="made up for recurra, Apache-2.0",
    columns=("image", "caption"),
    splits=("train", "dev", "test"),
    load=_records,
    size=lambda split: SENTENCES * PICTURES[split],
    files=_files,
)
