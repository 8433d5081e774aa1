"""The contrast of pairs, number by number, in float64 (Radford et al. 2021, arXiv:2103.00020, figure 3)."""

from __future__ import annotations

import math
from typing import Any


def nats(first: Any, second: Any, scale: float, right: Any) -> tuple[list[float], list[float]]:
    """-log of the share of exp(scale a.b) that right answers have, for each of either side."""
    number = len(first)
    alike = [[scale * sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) for y in second] for x in first]

    def cost(row: list[float], fits: list[bool]) -> float:
        top = max(row)
        weights = [math.exp(one - top) for one in row]
        return math.log(math.fsum(weights)) - math.log(
            math.fsum(w for w, fit in zip(weights, fits, strict=True) if fit)
        )

    there = [cost(alike[n], [bool(right[n][k]) for k in range(number)]) for n in range(number)]
    back = [
        cost([alike[n][k] for n in range(number)], [bool(right[n][k]) for n in range(number)]) for k in range(number)
    ]
    return there, back
