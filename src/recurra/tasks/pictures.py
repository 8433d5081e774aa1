"""Whether the numbers of rows are pictures, and of which shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.data.formats.arrays import shape_of
from recurra.data.formats.images import SUFFIXES, colours_of

# Pixels of a picture's shorter side, from where on convolutions pay.
LEAST = 12
# Places of the last layer's shorter side, about, and channels of the layers.
LAST, CHANNELS = 7, (32, 64, 128, 128, 128, 128)


def picture_shape(record: Record, steps: int, numbers: int) -> tuple[int, ...]:
    """(height, width), with 3 behind where it has colours, of a record of so many steps and numbers of each.

    A picture's own file tells its colours, and so does an array with an axis of them; else a number is a pixel.
    """
    path = Path(record.origin.path)
    colours = 1
    if path.suffix.lower() in SUFFIXES:
        colours = colours_of(path) or 1
    elif path.suffix.lower() in (".npz", ".npy"):
        shape = shape_of(path)
        colours = shape[3] if len(shape) == 4 else 1
    return (steps, numbers) if colours == 1 else (steps, numbers // colours, colours)


def channels_for(shape: Sequence[int]) -> list[int]:
    """Channels of layers that halve a picture until about seven places are left of its shorter side."""
    layers, side = 0, min(shape[:2])
    while side > LAST and layers < len(CHANNELS):
        layers, side = layers + 1, -(-side // 2)
    return list(CHANNELS[:layers])
