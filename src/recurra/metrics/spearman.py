"""How well two rows of numbers of the same things agree, or their orders."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Correlation of the ranks of two rows of numbers, equal ones with their mean rank; -1..1.

    NaN for fewer than two, and where all numbers of one row are equal. Source: Spearman 1904.
    """
    return pearson(*(_ranks(np.asarray(row, np.float64)) for row in (first, second)))


def pearson(first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]) -> float:
    """Correlation of two rows of numbers; -1..1.

    NaN for fewer than two, and where all numbers of one row are equal. Source: Pearson 1895.
    """
    if len(first) < 2:
        return math.nan
    a, b = (np.asarray(row, np.float64) for row in (first, second))
    if any(row.min() == row.max() for row in (a, b)):  # their mean is rounded, so that what is left need not be 0
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else math.nan


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    means: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return means
