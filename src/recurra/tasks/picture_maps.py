"""What in a picture speaks for an answer: squares that are hidden one by one, and pictures as bright as each counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Batch
from recurra.data.pictures import Pixels
from recurra.report import HeatMap

Floats = NDArray[np.float64]
# Squares of a side that are hidden one by one.
HIDDEN = 8
# Pixels of a side of a picture that is drawn, and between two; the least brightness of what counts for nothing.
SIDE, GAP, DIM = 96, 4, 0.15
# From nothing to the most.
SHADES = " .:-=+*#%@"


@dataclass(frozen=True, slots=True)
class HiddenSquares:
    """batch: a picture as it is, then once for each of rows x columns squares, which has the mean colour there"""

    batch: Batch
    rows: int
    columns: int

    def grid(self, values: NDArray[Any]) -> Floats:
        """Values of each square as (rows, columns)."""
        return np.asarray(values, np.float64).reshape(self.rows, self.columns)

    def map(self, title: str, weights: Floats, image: bytes = b"") -> HeatMap:
        """Weights (rows, columns), -1 to 1, as a map."""
        rows, columns = (tuple(str(k + 1) for k in range(number)) for number in (self.rows, self.columns))
        return HeatMap(title, rows, columns, tuple(map(tuple, weights.tolist())), image=image)


def hidden_squares(one: Batch) -> HiddenSquares:
    """Of a batch of one row that has inputs["pixels"] (1, height, width, colours): what else it reads is repeated."""
    pixels = one.inputs["pixels"][0]
    rows, columns = (np.array_split(np.arange(size), min(HIDDEN, size)) for size in pixels.shape[:2])
    mean = pixels.float().mean((0, 1)).round().to(pixels.dtype)
    several = pixels.repeat(len(rows) * len(columns) + 1, 1, 1, 1)
    for k in range(len(several) - 1):
        r, c = rows[k // len(columns)], columns[k % len(columns)]
        several[k + 1, r[0] : r[-1] + 1, c[0] : c[-1] + 1] = mean
    number = len(several)
    inputs = {name: value.repeat_interleave(number, 1 if value.dim() == 2 else 0) for name, value in one.inputs.items()}
    batch = Batch(
        {**inputs, "pixels": several},
        one.lengths.repeat(number),
        {name: value.repeat_interleave(number, value.dim() - 1) for name, value in one.targets.items()},
        tuple(range(number)),
    )
    return HiddenSquares(batch, len(rows), len(columns))


def coloured(pixels: Pixels) -> Pixels:
    """(height, width, 3) of pixels that may be grey."""
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels


def overlays(pixels: Pixels, weights: Floats) -> Pixels:
    """A picture, and once more for each of weights (R, rows, columns), as bright as they are at each place."""
    height = SIDE
    width = max(round(SIDE * pixels.shape[1] / pixels.shape[0]), 1)
    whole = _stretched(pixels, height, width).astype(np.float64)
    between = np.full((height, GAP, 3), 255.0)
    parts = [whole]
    for each in weights:
        share = _stretched(each / max(each.max(), 1e-12), height, width)[:, :, None]
        parts += [between, whole * (DIM + (1 - DIM) * share)]
    return np.ascontiguousarray(np.concatenate(parts, 1).round().astype(np.uint8))


def _stretched(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Each of height x width the nearest of values (rows, columns, ...)."""
    down = np.arange(height) * len(values) // height
    right = np.arange(width) * values.shape[1] // width
    return values[down][:, right]


def shaded_lines(words: Sequence[str], weights: Floats) -> Iterator[str]:
    """Under each word its weights (rows, columns) as a grid of signs, the darker the more; several side by side."""
    columns = max(weights.shape[2], *map(len, words)) + 2
    beside = max(1, 100 // columns)
    for k in range(0, len(words), beside):
        yield "  " + "".join(word.ljust(columns) for word in words[k : k + beside])
        for row in range(weights.shape[1]):
            yield "  " + "".join(_shaded(one[row], one.max()).ljust(columns) for one in weights[k : k + beside])


def _shaded(row: Floats, most: float) -> str:
    return "".join(SHADES[min(int(x / max(most, 1e-12) * len(SHADES)), len(SHADES) - 1)] for x in row)
