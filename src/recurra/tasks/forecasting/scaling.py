"""Targets of different levels to numbers of like size: by what was seen before a cut, and by nothing behind it.

none      as they are
standard  minus the mean, by the deviation
mean      by the mean size, with zero where it was: for counts, and what cannot be negative
revin     as standard, and then by gains that the model learns, by which its forecasts are turned back
robust    minus the median, by the distance of the quartiles over 1.349, which is a deviation where numbers are normal
A divisor that would be 0 is the size of the level instead, or 1 where that is 0 too: a constant series stays finite.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["none", "standard", "revin", "mean", "robust"]
Floats = NDArray[np.float64]
# The quartiles of a normal distribution are so many deviations apart.
QUARTILES = 1.3489795003921634
# A deviation that is a smaller part of the level than float64 can tell from rounding: all numbers are the same.
LEAST = 1e-12


def moments(values: Floats, how: Scaling) -> tuple[Floats, Floats]:
    """Shift and divisor (N, D) of windows (N, L, D), by what of them is no NaN; 0 and 1 where all is."""
    zeros, ones = np.zeros((len(values), values.shape[2])), np.ones((len(values), values.shape[2]))
    if how == "none" or not values.shape[1]:
        return zeros, ones
    there = ~np.isnan(values)
    count = np.maximum(there.sum(1), 1)
    known = np.where(there, values, 0.0)
    size = _sum(np.abs(known)) / count
    if how == "mean":
        return zeros, _divisor(size, ones)
    shift = _sum(known) / count
    scale = np.sqrt(_sum(np.where(there, values - shift[:, None], 0.0) ** 2) / count)
    if how == "robust":
        shift, scale = _robust(values, there, size, scale)
    return shift, _divisor(np.where(scale > LEAST * size, scale, 0.0), size)


def _sum(values: Floats) -> Floats:
    """(N, D) of (N, L, D), step by step: NumPy sums another L in another order, and padding would change bits."""
    found: Floats = np.cumsum(values, axis=1)[:, -1]
    return found


def _robust(values: Floats, there: NDArray[np.bool_], size: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Median, and the distance of the quartiles; the deviation where half of the numbers are the same."""
    ordered, count = np.sort(values, axis=1), there.sum(1)  # NaN stands last
    low, median, high = (_quantile(ordered, count, level) for level in (0.25, 0.5, 0.75))
    spread = (high - low) / QUARTILES
    return median, np.where(spread > LEAST * size, spread, deviation)


def _quantile(ordered: Floats, count: NDArray[np.int64], level: float) -> Floats:
    """(N, D) a quantile of the first `count` (N, D) of numbers (N, L, D) in order, on the line between two; 0 of none.

    As NumPy's nanquantile, which goes through rows one by one where a number may be missing.
    """
    last = np.maximum(count - 1, 0)
    place = level * last
    below = place.astype(np.int64)
    both = np.stack([below, np.minimum(below + 1, last)], 1)
    a, b = np.take_along_axis(ordered, both, 1).swapaxes(0, 1)
    part = place - below
    found = np.where(part < 0.5, a + (b - a) * part, b - (b - a) * (1 - part))
    return np.where(count > 0, found, 0.0)


def _divisor(scale: Floats, instead: Floats) -> Floats:
    found: Floats = np.where(scale > 0, scale, np.where(instead > 0, instead, 1.0))
    return found
