"""Intervals by the errors that were made on dev: as wide as it takes, whatever the model is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.tasks.forecasting.windows import Floats

# Errors of one step from which its own quantiles are taken; of fewer, those of all steps together.
ENOUGH = 40


@dataclass(frozen=True, slots=True, eq=False)
class Conformal:
    """offsets: (h, Q) what is added to a point for each level, in units of a window's scale

    Split conformal prediction with signed errors: of n errors the ceil(q (n + 1))-th is that of level q (Lei et al.
    2018, section 2.2), and the outermost where there is no such one.
    """

    offsets: Floats
    sentence: str

    @classmethod
    def of(cls, errors: Floats, levels: Sequence[float]) -> Conformal:
        """errors: (N, h, D) of forecasts over their scales, NaN where nothing is known."""
        by_step = [errors[:, k][~np.isnan(errors[:, k])] for k in range(errors.shape[1])]
        fewest = min(map(len, by_step), default=0)
        if fewest < ENOUGH:
            together = np.concatenate(by_step) if by_step else np.zeros(0)
            by_step = [together] * len(by_step)
        offsets = np.array([[_quantile(step, q) for q in levels] for step in by_step])
        what = "of each step" if fewest >= ENOUGH else "of all steps together, as there are few"
        return cls(offsets, f"by {len(by_step[0]):,} errors on dev, {what}")

    def around(self, point: Floats, scale: Floats) -> Floats:
        """(N, h, D, Q) of points (N, h, D) and scales (N, D)."""
        found: Floats = point[..., None] + self.offsets[None, :, None] * scale[:, None, :, None]
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"offsets": self.offsets.tolist(), "sentence": self.sentence}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], horizon: int, levels: int) -> Conformal:
        """The inverse. Raises KeyError, TypeError or ValueError for anything else."""
        offsets = np.array(data["offsets"], float)
        if offsets.shape != (horizon, levels) or not np.isfinite(offsets).all():
            raise ValueError(f"intervals of shape {offsets.shape}")
        return cls(offsets, str(data["sentence"]))


def _quantile(errors: Floats, level: float) -> float:
    if not len(errors):
        return 0.0
    ranked = np.sort(errors)
    n = len(ranked)
    # A low level is a high one of what is turned round, so that both sides err on the wide side.
    place = math.ceil(level * (n + 1) - 1e-9) if level >= 0.5 else math.floor(level * (n + 1) + 1e-9)
    return float(ranked[min(max(place, 1), n) - 1])
