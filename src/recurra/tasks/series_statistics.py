"""What baselines know of a series: its statistics, order aside, or the numbers of a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.series_reader import SeriesReader


def described(values: NDArray[Any], reader: SeriesReader) -> NDArray[np.float64]:
    """The numbers of one vector (1, F) as they are; the statistics of a series (T, F)."""
    return statistics(values) if reader.steps is None else values[0].astype(np.float64)


def statistics(values: NDArray[Any]) -> NDArray[np.float64]:
    """(8 F + 1,) of a series (T, F): mean, deviation, least, largest, first, last, mean and largest change; length."""
    x = values.astype(np.float64) if len(values) else np.zeros((1, values.shape[1]))
    steps = np.abs(np.diff(x, axis=0)) if len(x) > 1 else np.zeros_like(x)
    parts = [x.mean(0), x.std(0), x.min(0), x.max(0), x[0], x[-1], steps.mean(0), steps.max(0)]
    return np.concatenate([*parts, [len(values)]])
