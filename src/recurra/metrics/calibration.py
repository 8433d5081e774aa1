"""Whether the confidence of an answer is how often such answers are right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Table
from recurra.metrics.labelling import Labelling
from recurra.metrics.rates import share

NUM_BINS = 15


def calibration_error(rows: Labelling) -> float:
    """Expected calibration error, 0..1: |accuracy - mean confidence| of 15 equal bins, averaged by rows.

    Confidence is the probability of the predicted label; bin m is (m/15, (m+1)/15], and 0 falls in the first.
    Source: Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; in this form, with 15
    bins, Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    size, confidence, right = _bins(rows)
    return float(np.abs(right - confidence).sum() / size.sum())


def reliability(rows: Labelling) -> Table:
    """Rows, mean confidence and accuracy of each confidence bin that has rows."""
    size, confidence, right = _bins(rows)
    means, accuracy = share(confidence, size), share(right, size)
    return Table(
        caption="Reliability: how often answers of a given confidence are right",
        columns=("confidence above", "up to", "rows", "mean confidence", "accuracy"),
        rows=tuple(
            (m / NUM_BINS, (m + 1) / NUM_BINS, int(size[m]), float(means[m]), float(accuracy[m]))
            for m in range(NUM_BINS)
            if size[m]
        ),
    )


def _bins(rows: Labelling) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each bin: number of rows, sum of confidences, number of right answers."""
    confidence = rows.probabilities[np.arange(len(rows.gold)), rows.predicted]
    right = (rows.gold == rows.predicted).astype(np.float64)
    place = np.searchsorted(np.arange(1, NUM_BINS) / NUM_BINS, confidence, side="left")
    return _sums(place, np.ones_like(right)), _sums(place, confidence), _sums(place, right)


def _sums(place: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(place, weights=values, minlength=NUM_BINS).astype(np.float64)
