"""A moving Gaussian: how many deviations a point is from the mean of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from recurra.metrics.anomalies.detectors.cut import ROWS, levels
from recurra.metrics.anomalies.windows import Windows

Floats = NDArray[np.float64]
# Of the clean deviation: where the last steps were all the same, the next one is not infinitely far.
LEAST = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class MovingGaussian:
    """score = mean over columns of |x - mean| / deviation, both of the `window` steps before x.

    Source: the windowed Gaussian of Lavin & Ahmad 2015 (NAB), whose score is a tail probability of this number.
    """

    window: int
    least: Floats

    @classmethod
    def fit(cls, clean: Sequence[Floats], window: int) -> MovingGaussian:
        """From clean series (T, D), of which it takes the smallest deviation that counts."""
        return cls(window, LEAST * levels(clean)[1])

    @property
    def windows(self) -> Windows:
        return Windows(self.window, 1)

    def scores(self, values: Floats) -> Floats:
        """(N,) of the steps of (T, D) from `window` on."""
        if len(values) <= self.window:
            return np.zeros(0)
        before = sliding_window_view(values[:-1], self.window, axis=0)  # (N, D, w)
        parts = [
            self._of(before[k : k + ROWS], values[self.window + k : self.window + k + ROWS])
            for k in range(0, len(before), ROWS)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _of(self, before: Floats, here: Floats) -> Floats:
        deviation = np.maximum(before.std(2), self.least)
        return np.asarray((np.abs(here - before.mean(2)) / deviation).mean(1))
