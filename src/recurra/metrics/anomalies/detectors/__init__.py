"""Detectors without a network, which a model has to beat: fitted to clean data, they score windows of a series.

A new one is a class with the members of `Detector`, and a line below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.base.registry import Registry
from recurra.metrics.anomalies.detectors.forest import IsolationForest
from recurra.metrics.anomalies.detectors.gaussian import MovingGaussian
from recurra.metrics.anomalies.detectors.pca import WindowPca
from recurra.metrics.anomalies.detectors.profile import MatrixProfile
from recurra.metrics.anomalies.windows import Windows

Floats = NDArray[np.float64]

__all__ = ["DETECTORS", "Detector", "IsolationForest", "MatrixProfile", "MovingGaussian", "WindowPca"]


class Detector(Protocol):
    """Scores windows. window: steps that are read for a score      windows: which steps they judge"""

    @property
    def window(self) -> int: ...
    @property
    def windows(self) -> Windows: ...
    def scores(self, values: Floats) -> Floats:
        """(N,) of the windows of a series (T, D), higher is worse; a window's does not depend on the others.

        None of a series that is too short for one.
        """
        ...


# By their words: from clean series (T, D) and the steps of a window.
DETECTORS: Registry[Callable[[Sequence[Floats], int], Detector]] = Registry("detector", "recurra.detectors")
DETECTORS.add("pca", WindowPca.fit)
DETECTORS.add("isolation_forest", IsolationForest.fit)
DETECTORS.add("gaussian", MovingGaussian.fit)
DETECTORS.add("matrix_profile", MatrixProfile.fit)
