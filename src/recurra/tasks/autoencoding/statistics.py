"""What is known of all training rows together, once they are scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.data.scaling import Scaler


@dataclass(frozen=True, slots=True)
class Statistics:
    """mean, deviation: (D,) of each scaled number, the deviation of one that never changes as 1

    ends: the least and the largest of all      categories: whole numbers from 0 on that there are, 0 where not asked
    steps: of the longest row
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    ends: tuple[float, float]
    categories: int
    steps: int = 1

    @classmethod
    def none(cls, number: int) -> Statistics:
        """Before anything is known."""
        return cls(np.zeros(number), np.ones(number), (0.0, 1.0), 2)

    @classmethod
    def of(cls, rows: Iterable[NDArray[np.float32]], number: int, most: int) -> Statistics:
        """Of scaled rows (T, D), NaN where a number is missing. most: categories, at most; 0 counts none"""
        kept = _Ends()
        scaler = Scaler.fit("standard", map(kept.seen, rows), number)
        low, high = (kept.low, kept.high) if kept.low <= kept.high else (0.0, 1.0)
        categories = max(2, min(math.floor(high) + 1, most)) if most else 0
        return cls(scaler.shift, scaler.scale, (low, high), categories, kept.steps)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
            "ends": list(self.ends),
            "categories": self.categories,
            "steps": self.steps,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Statistics:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        mean, deviation = np.array(data["mean"], float), np.array(data["deviation"], float)
        low, high = map(float, data["ends"])
        if "steps" not in data:  # runs of an earlier version
            raise ValueError("it does not say how many steps its rows have, as an earlier version trained it")
        categories, steps = data["categories"], data["steps"]
        good = mean.ndim == 1 and mean.shape == deviation.shape and np.isfinite(mean).all() and (deviation > 0).all()
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"rows of {steps!r} steps")
        if not good or not low <= high or not isinstance(categories, int) or not 0 <= categories <= 256:
            raise ValueError(f"statistics of {len(mean)} numbers from {low} to {high}")
        return cls(mean, deviation, (low, high), categories, steps)


class _Ends:
    """The least and the largest number that went by, and the steps of the longest row."""

    def __init__(self) -> None:
        self.low, self.high, self.steps = math.inf, -math.inf, 1

    def seen(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        self.steps = max(self.steps, len(row))
        there = row[~np.isnan(row)]
        if len(there):
            self.low, self.high = min(self.low, float(there.min())), max(self.high, float(there.max()))
        return row
