"""How well a probability puts the rows of one label before the others; asked only where there are two labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics.labelling import Labelling


def ranking_scores(rows: Labelling, split: str) -> Iterator[Score]:
    """roc_auc, and average_precision[x] of both labels; nothing unless two labels are known and both occur."""
    if len(rows.names) != 2 or len(set(rows.gold.tolist())) != 2:
        return
    # The area is the same for both labels, since their probabilities sum to 1.
    yield Score("roc_auc", roc_auc(rows.gold == 0, rows.probabilities[:, 0]), "0..1", "higher", split)
    for k, label in enumerate(rows.names):
        value = average_precision(rows.gold == k, rows.probabilities[:, k])
        yield Score(f"average_precision[{label}]", value, "0..1", "higher", split)


def roc_auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The chance that a positive row scores above a negative one, ties counting half: area under the ROC curve.

    positive: (N,) with both values      score: (N,), NaN gives NaN
    Source: Hanley & McNeil 1982, Radiology 143(1).
    """
    if np.isnan(score).any():
        return float("nan")
    at_or_above, hits_at_or_above = _thresholds(positive, score)
    hits, misses = (np.concatenate(([0], counts)) for counts in (hits_at_or_above, at_or_above - hits_at_or_above))
    area = np.sum(np.diff(misses) * (hits[1:] + hits[:-1])) / 2
    return float(area / (hits[-1] * misses[-1]))


def average_precision(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Precision averaged over the steps of recall, sum_n (R_n - R_{n-1}) P_n, without interpolation; 0..1.

    positive: (N,) with at least one true      score: (N,), NaN gives NaN
    Source: Manning et al. 2008, chapter 8.4.
    """
    if np.isnan(score).any():
        return float("nan")
    at_or_above, hits_at_or_above = _thresholds(positive, score)
    return float(np.sum(np.diff(hits_at_or_above, prepend=0) * hits_at_or_above / at_or_above) / hits_at_or_above[-1])


def _thresholds(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each distinct score, from high to low: rows at or above it, and how many of them are positive."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # ties share one threshold
    return last + 1, np.cumsum(positive[order], dtype=np.int64)[last]
