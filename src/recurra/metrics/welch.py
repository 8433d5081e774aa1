"""Is the difference of two means more than the noise of single values? Welch's interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Intervals of Simpson's rule for the t distribution: its error is far below what four digits show.
_PIECES = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """first - second, with the interval that holds the true difference of their means in 95 of 100 cases."""

    mean: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


def welch(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Difference:
    """The difference of two means, whose values may vary differently. Each has at least two values.

    first - second +- t sqrt(s1^2/n1 + s2^2/n2), with the degrees of freedom of Welch and Satterthwaite.
    Source: Welch 1947, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34.
    """
    mean = statistics.fmean(first) - statistics.fmean(second)
    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Difference(mean, mean, mean)
    counts = (len(first) - 1, len(second) - 1)
    degrees = sum(parts) ** 2 / sum(part**2 / count for part, count in zip(parts, counts, strict=True))
    half = t_quantile((1 + level) / 2, degrees) * error
    return Difference(mean, mean - half, mean + half)


def t_quantile(probability: float, degrees: float) -> float:
    """The value that Student's t stays below with this probability, 0.5 to 1; degrees of freedom need not be whole."""
    low, high = 0.0, 1.0
    while t_below(high, degrees) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_below(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def t_below(value: float, degrees: float) -> float:
    """The probability that Student's t is below a value from 0 on.

    With t = sqrt(v) tan(a) it is 1/2 + c times the integral of cos(a)^(v - 1) from 0 on, which has no infinite end.
    """
    end = math.atan(value / math.sqrt(degrees))
    width = end / _PIECES
    points = [math.pow(math.cos(k * width), degrees - 1) for k in range(_PIECES + 1)]
    integral = width / 3 * (points[0] + 4 * sum(points[1:-1:2]) + 2 * sum(points[2:-1:2]) + points[-1])
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return 0.5 + scale * integral
