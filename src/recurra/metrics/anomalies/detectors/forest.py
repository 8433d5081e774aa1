"""An isolation forest on windows, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.optional import needs
from recurra.metrics.anomalies.detectors.cut import levels, rows_to_fit, scored
from recurra.metrics.anomalies.windows import Windows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class IsolationForest:
    """score: how few cuts at random isolate a window, 0..1 (Liu et al. 2008). 100 trees, seed 0."""

    window: int
    mean: Floats
    deviation: Floats
    forest: Any

    @classmethod
    def fit(cls, clean: Sequence[Floats], window: int) -> IsolationForest:
        """From clean series (T, D). Raises ConfigError without scikit-learn."""
        ensemble = needs("sklearn.ensemble", "text", "The detector isolation_forest")
        mean, deviation = levels(clean)
        rows = rows_to_fit([(one - mean) / deviation for one in clean], window)
        forest = ensemble.IsolationForest(n_estimators=100, random_state=0).fit(rows)
        return cls(window, mean, deviation, forest)

    @property
    def windows(self) -> Windows:
        return Windows(0, self.window)

    def scores(self, values: Floats) -> Floats:
        """(N,) of windows of (T, D)."""
        return scored((values - self.mean) / self.deviation, self.window, lambda rows: -self.forest.score_samples(rows))
