"""Precision and recall of ranges: how many were found, how much of each, and in how many pieces.

recall of a labelled range = a [some of it is flagged] + (1 - a) (share of it that is flagged) / (flagged ranges in it)
precision of a flagged range = (share of it that is labelled) / (labelled ranges in it)
Means over ranges; a = 0.2, flat weights, one over the number of pieces.
Source: Tatbul et al. 2018, arXiv:1803.03639, equations 1 to 7, with the weights of TSB-AD (Liu & Paparrizos 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
# What it is worth to have seen a range at all.
EXISTENCE = 0.2


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Both 0..1, 0 where there is nothing to divide by."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean, 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def ranges_of(flags: Flags) -> tuple[Ints, Ints]:
    """First and last steps of what is flagged without a break."""
    edges = np.diff(np.r_[0, flags.astype(np.int8), 0])
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def range_scores(labels: Flags, flags: Flags) -> PrecisionRecall:
    """Of flags (T,) beside labels (T,)."""
    return PrecisionRecall(_covered(flags, labels, 0.0), _covered(labels, flags, EXISTENCE))


def _covered(ranges: Flags, by: Flags, existence: float) -> float:
    """The mean reward of ranges that others cover."""
    starts, ends = ranges_of(ranges)
    if not len(starts):
        return 0.0
    total = np.r_[0, np.cumsum(by)]
    share = (total[ends + 1] - total[starts]) / (ends + 1 - starts)
    other_starts, other_ends = ranges_of(by)
    pieces = np.searchsorted(other_starts, ends, "right") - np.searchsorted(other_ends, starts)
    return float(np.mean(existence * (pieces > 0) + (1 - existence) * share / np.maximum(pieces, 1)))
