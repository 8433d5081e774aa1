"""Numbers of different sizes to numbers of like sizes: each feature is shifted and divided.

Means and deviations come from training data alone (`standard`), or from the series itself (`series`); `range` has
the least and the largest of all numbers in the training data, for all features alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["standard", "series", "range", "none"]
# A deviation that is a smaller part of the mean than float64 can tell from rounding: the numbers are all the same.
LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Scaler:
    """(x - shift) / scale for each feature; of `series`, both are of the series itself.

    shift, scale: (F,) float64; the deviation of numbers that are all the same is taken as 1
    constant: features that were the same in all training data, by their place; only `fit` of `standard` knows
    """

    how: Scaling
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    constant: tuple[int, ...] = ()

    @classmethod
    def fit(cls, how: Scaling, series: Iterable[NDArray[Any]], num_features: int) -> Scaler:
        """From training series (T, F), of which NaN counts as not there."""
        if how == "range":
            return cls(how, *_range(series, num_features))
        if how != "standard":
            return cls(how, np.zeros(num_features), np.ones(num_features))
        mean, deviation = _moments(series, num_features)
        same = tuple(np.flatnonzero(deviation == 0).tolist())
        return cls(how, mean, _divisor(deviation), same)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(T, F) in float64. NaN stays NaN."""
        shift, scale = self.shift, self.scale
        if self.how == "series":
            shift, deviation = _moments([values], values.shape[1])
            scale = _divisor(deviation)
        return (values - shift) / scale

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {"how": self.how, "shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scaler:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        how, shift, scale = data["how"], np.array(data["shift"], float), np.array(data["scale"], float)
        good = shift.ndim == 1 and shift.shape == scale.shape and np.isfinite(shift).all() and np.isfinite(scale).all()
        if how not in ("standard", "series", "range", "none") or not good or not (scale > 0).all():
            raise ValueError(f"scaling {how!r} with {len(shift)} shifts and {len(scale)} scales")
        return cls(how, shift, scale)


def _range(series: Iterable[NDArray[Any]], num_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What brings all numbers to 0..1, the same for each feature, so that pixels keep their greys."""
    ends = [(np.nanmin(one), np.nanmax(one)) for one in series if not np.isnan(one).all()]
    low, high = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 1.0)
    return np.full(num_features, float(low)), np.full(num_features, float(high - low) or 1.0)


def _moments(series: Iterable[NDArray[Any]], num_features: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each feature (F,), 0 where all numbers are the same.

    In one pass over series that need not be in memory together.

    Chan, Golub & LeVeque 1979: moments of parts are put together without the sum of squares, which cancels.
    """
    count, mean, m2 = np.zeros(num_features), np.zeros(num_features), np.zeros(num_features)
    for values in series:
        exact = values.astype(np.float64)
        there = ~np.isnan(exact)
        n = there.sum(0)
        part = np.where(there, exact, 0.0).sum(0) / np.maximum(n, 1)
        squares = (np.where(there, exact - part, 0.0) ** 2).sum(0)
        total = np.maximum(count + n, 1)
        delta = part - mean
        m2 += squares + delta**2 * count * n / total
        mean += delta * n / total
        count += n
    deviation = np.sqrt(m2 / np.maximum(count, 1))
    return mean, np.where(deviation > LEAST * np.maximum(np.abs(mean), 1e-300), deviation, 0.0)


def _divisor(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(deviation > 0, deviation, 1.0)
