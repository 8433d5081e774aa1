"""Principal components of windows: how far a window is from the clean ones, in deviations along each component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.metrics.anomalies.detectors.cut import levels, rows_to_fit, scored
from recurra.metrics.anomalies.windows import Windows

Floats = NDArray[np.float64]
# A component with less of the variance than this share of the first one's counts as if it had it: below is noise, and a
# window that is far along such a component is far by rounding.
LEAST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class WindowPca:
    """score = mean over components of y_j^2 / max(lambda_j, lambda_1 / 1000), with y = V' (x - mean) of a window.

    mean, deviation: (D,) of clean steps      center: (w D,)      axes: (w D, J), divided by the deviations along them
    Source: Shyu et al. 2003, "A novel anomaly detection scheme based on principal component classifier", equation 4.
    """

    window: int
    mean: Floats
    deviation: Floats
    center: Floats
    axes: Floats

    @classmethod
    def fit(cls, clean: Sequence[Floats], window: int) -> WindowPca:
        """From clean series (T, D), one at least as long as a window."""
        mean, deviation = levels(clean)
        rows = rows_to_fit([(one - mean) / deviation for one in clean], window)
        center = rows.mean(0)
        apart = rows - center
        variances, axes = np.linalg.eigh(apart.T @ apart / len(apart))
        floor = max(LEAST * float(variances[-1]), 1e-12)
        return cls(window, mean, deviation, center, axes / np.sqrt(np.maximum(variances, floor)))

    @property
    def windows(self) -> Windows:
        return Windows(0, self.window)

    def scores(self, values: Floats) -> Floats:
        """(N,) of windows of (T, D)."""
        return scored((values - self.mean) / self.deviation, self.window, self._of)

    def _of(self, rows: Floats) -> Floats:
        return np.asarray((((rows - self.center) @ self.axes) ** 2).mean(1))
