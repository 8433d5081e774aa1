"""The matrix profile, by stumpy: how far a window's form is from the most similar clean one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.optional import needs
from recurra.metrics.anomalies.windows import Windows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MatrixProfile:
    """score: the distance of a window, less its mean and by its deviation, to its nearest neighbour in clean data.

    Mean over columns. A series that is, or begins with, a clean one has itself among them: its windows there are
    compared with those of the clean series that begin more than a quarter of a window away. Else each would be its own
    neighbour, and every clean score 0. Source: Yeh et al. 2016, "Matrix Profile I", ICDM, section 3 (exclusion zone).
    """

    window: int
    clean: tuple[Floats, ...]

    @classmethod
    def fit(cls, clean: Sequence[Floats], window: int) -> MatrixProfile:
        """From clean series (T, D). Raises ConfigError without stumpy."""
        needs("stumpy", "anomalies", "The detector matrix_profile")
        return cls(window, tuple(one for one in clean if len(one) >= window))

    @property
    def windows(self) -> Windows:
        return Windows(0, self.window)

    def scores(self, values: Floats) -> Floats:
        """(N,) of windows of (T, D)."""
        if len(values) < self.window:
            return np.zeros(0)
        stump = needs("stumpy", "anomalies", "The detector matrix_profile").stump
        columns = [
            np.min([self._distances(stump, values[:, d], one[:, d]) for one in self.clean], axis=0)
            for d in range(values.shape[1])
        ]
        return np.asarray(np.mean(columns, axis=0))

    def _distances(self, stump: Any, series: Floats, clean: Floats) -> Floats:
        begins = np.array_equal(series[: len(clean)], clean)
        own = np.asarray(stump(clean.copy(), self.window)[:, 0], np.float64) if begins else np.zeros(0)
        if begins and len(series) == len(clean):
            return own
        found = stump(series.copy(), self.window, T_B=clean.copy(), ignore_trivial=False)
        distances = np.asarray(found[:, 0], np.float64)
        distances[: len(own)] = own
        return distances
