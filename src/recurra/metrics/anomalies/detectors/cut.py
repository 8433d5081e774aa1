"""Series as rows of windows, a fixed number at a time: the bits of a product depend on how many rows it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROWS = 2048
# Windows that a fit looks at, at most: as many as tell a covariance of some hundred steps.
MOST_FITTED = 50_000


def cut(values: Floats, window: int) -> Iterator[tuple[Floats, int]]:
    """Chunks (2048, w * D) of windows, the last one filled up with its last row, and how many rows are real.

    None of a series that is shorter than a window.
    """
    if len(values) < window:
        return
    views = sliding_window_view(values, window, axis=0)  # (N, D, w)
    for first in range(0, len(views), ROWS):
        rows = views[first : first + ROWS].reshape(-1, values.shape[1] * window)
        count = len(rows)
        yield np.concatenate([rows, np.repeat(rows[-1:], ROWS - count, 0)]) if count < ROWS else rows, count


def scored(values: Floats, window: int, score: Callable[[Floats], Floats]) -> Floats:
    """(N,) the scores of all windows. score: (2048,) of (2048, w * D)"""
    parts = [score(rows)[:count] for rows, count in cut(values, window)]
    return np.concatenate(parts) if parts else np.zeros(0)


def rows_to_fit(clean: Sequence[Floats], window: int) -> Floats:
    """(N, w * D) windows of clean series, every so manieth where there are more than 50,000."""
    views = [sliding_window_view(one, window, axis=0) for one in clean if len(one) >= window]
    step = max(1, sum(map(len, views)) // MOST_FITTED)
    return np.concatenate([view[::step].reshape(-1, clean[0].shape[1] * window) for view in views])


def levels(clean: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Mean and deviation (D,) of all clean steps; a deviation of 0, of a column that is constant, is 1."""
    joined = np.concatenate(clean)
    deviation = joined.std(0)
    return joined.mean(0), np.where(deviation > 1e-12 * np.abs(joined).max(0), deviation, 1.0)
