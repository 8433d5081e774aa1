"""Paired bootstrap: would the difference of two systems hold on other test rows of the same kind?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Resampled:
    """A difference over resamples of the test rows. low, high: its 95 % percentile interval

    above: share of the resamples in which it is above 0, a tie as one half      number: of those with a number
    """

    low: float
    high: float
    above: float
    number: int

    @property
    def holds_zero(self) -> bool:
        """Whether the draws leave open that there is no difference; without a number they leave all open."""
        return self.number == 0 or self.low <= 0 <= self.high


def resamples(rows: int, number: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draws of as many rows as there are, with replacement: the same for everything that is compared."""
    draws = np.random.Generator(np.random.PCG64(seed))
    for _ in range(number):
        yield draws.integers(0, rows, size=rows)


def paired_bootstrap(
    rows: int,
    scores: Sequence[Callable[[NDArray[np.int64]], Mapping[str, float]]],
    *,
    number: int = 1000,
    seed: int = 1,
) -> list[dict[str, Resampled]]:
    """Differences of each system but the first to the first, by the name of the score, on the same draws of rows.

    scores: of each system, from the rows that were drawn to its scores by name
    The interval is that of percentiles; the draws in which a score has no number are left out.
    Sources: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; paired, for systems: Koehn 2004,
    "Statistical Significance Tests for Machine Translation Evaluation", EMNLP.
    """
    found: list[dict[str, list[float]]] = [{} for _ in scores[1:]]
    for draw in resamples(rows, number, seed):
        first, *others = (score(draw) for score in scores)
        for kept, other in zip(found, others, strict=True):
            for name in first.keys() & other.keys():
                kept.setdefault(name, []).append(other[name] - first[name])
    return [{name: _resampled(np.array(values)) for name, values in kept.items()} for kept in found]


def _resampled(values: NDArray[np.float64]) -> Resampled:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Resampled(float("nan"), float("nan"), float("nan"), 0)
    low, high = np.percentile(finite, (2.5, 97.5))
    above = float(np.mean(finite > 0) + np.mean(finite == 0) / 2)
    return Resampled(float(low), float(high), above, len(finite))
