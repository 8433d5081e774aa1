"""The paired bootstrap of a mean, as loops: draw rows, take the difference, sort, and read off the ends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def bootstrap(first: Any, second: Any, *, number: int, seed: int) -> tuple[float, float, float]:
    """2.5 and 97.5 % of the differences, by linear interpolation, and the share above 0 (ties count half)."""
    draws = np.random.Generator(np.random.PCG64(seed))
    gaps = []
    for _ in range(number):
        chosen = draws.integers(0, len(first), size=len(first))
        total = 0.0
        for i in chosen:
            total += second[i] - first[i]
        gaps.append(total / len(first))
    ordered = sorted(gaps)
    above = sum(1.0 if gap > 1e-15 else 0.5 if abs(gap) <= 1e-15 else 0.0 for gap in gaps) / number
    return percentile(ordered, 0.025), percentile(ordered, 0.975), above


def percentile(ordered: list[float], share: float) -> float:
    """Hyndman & Fan 1996, definition 7."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    over = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[over] - ordered[below])
