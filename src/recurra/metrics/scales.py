"""How much of a row's detail comes back, by scale: power of the differences between neighbouring stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# A scale that holds less of a row's power than this says nothing of how a model does.
LITTLE = 0.05


@dataclass(frozen=True, slots=True)
class Scale:
    """Differences between neighbouring stretches of `size` steps.

    power: of the true rows, a sum      kept: that of what was said, beside it
    share: of the power of all scales, 0..1
    """

    size: int
    power: float
    kept: float
    share: float


def powers_by_scale(rows: Sequence[Floats], said: Sequence[Floats], axes: Sequence[int]) -> tuple[Scale, ...]:
    """From the finest to the coarsest, over all rows; none where rows have a single step.

    rows, said: (T, ...) each, NaN in `rows` where a number is missing
    axes: of a row along which neighbours are neighbours; each is looked at by itself
    The power of a scale s is that of Haar's wavelets (Mallat 1989, section III): s / 2 times the sum of (a - b)^2, a
    and b the means of neighbouring stretches of s numbers.
    """
    true: dict[int, float] = {}
    ours: dict[int, float] = {}
    for shape in sorted({row.shape for row in rows}):
        same = [n for n, row in enumerate(rows) if row.shape == shape]
        both = (np.stack([rows[n] for n in same]), np.stack([said[n] for n in same]))
        for axis in axes:
            _add(true, ours, *(np.moveaxis(one, axis + 1, 0).astype(np.float64) for one in both))
    total = sum(true.values())
    return tuple(
        Scale(size, power, ours[size] / power if power else 1.0, power / total if total else 0.0)
        for size, power in sorted(true.items())
    )


def finest(scales: Sequence[Scale]) -> Scale | None:
    """The finest scale that holds more than a little of the power."""
    return next((one for one in scales if one.share >= LITTLE), None)


def _add(true: dict[int, float], ours: dict[int, float], rows: Floats, said: Floats) -> None:
    """Add the powers along the first axis."""
    size = 1
    while (pairs := len(rows) // 2) > 0:
        (a, b), (c, d) = ((one[: 2 * pairs : 2], one[1 : 2 * pairs : 2]) for one in (rows, said))
        there = ~np.isnan(a - b)
        true[size] = true.get(size, 0.0) + size / 2 * float(((a - b)[there] ** 2).sum())
        ours[size] = ours.get(size, 0.0) + size / 2 * float(((c - d)[there] ** 2).sum())
        rows, said, size = (a + b) / 2, (c + d) / 2, 2 * size
