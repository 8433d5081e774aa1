"""Scores of one labelled series, and of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics.anomalies.affiliation import affiliation
from recurra.metrics.anomalies.ranges import range_scores
from recurra.metrics.anomalies.volumes import volumes
from recurra.metrics.ranking import average_precision, roc_auc

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# What each is, for reports.
FORMULAS = {
    "vus_pr": "area under precision and recall, mean over buffers around anomalies (Paparrizos et al. 2022)",
    "vus_roc": "area under ROC, mean over the same buffers",
    "auc_pr": "average precision of points",
    "auc_roc": "the chance that a labelled point scores above another one",
    "range_precision": "of flagged ranges: share that is labelled, over the labelled pieces (Tatbul et al. 2018)",
    "range_recall": "of labelled ranges: 0.2 where some is flagged, 0.8 of the share that is, over the flagged pieces",
    "range_f1": "harmonic mean of the two",
    "affiliation_precision": "how much nearer flags are to anomalies than random points, which have 0.5 (Huet et al. "
    "2022)",
    "affiliation_recall": "how much nearer anomalies are to flags than random points",
    "affiliation_f1": "harmonic mean of the two",
}


def anomaly_scores(
    labels: Flags, scores: Floats, flags: Flags | None, window: int, *, split: str = "test"
) -> tuple[Score, ...]:
    """Of one series. scores: (T,), higher is worse      flags: at a threshold, or None      window: of the buffers

    Raises ValueError unless some points are labelled, and some are not.
    """
    if not 0 < int(labels.sum()) < len(labels):
        raise ValueError("anomaly_scores: expected labelled points and others.")
    volume = volumes(labels, scores, window)
    found = {
        "vus_pr": volume.pr,
        "vus_roc": volume.roc,
        "auc_pr": average_precision(labels, scores),
        "auc_roc": roc_auc(labels, scores),
    }
    if flags is not None:
        for name, pair in (("range", range_scores(labels, flags)), ("affiliation", affiliation(labels, flags))):
            found |= {f"{name}_precision": pair.precision, f"{name}_recall": pair.recall, f"{name}_f1": pair.f1}
    return tuple(Score(name, value, "0..1", "higher", split) for name, value in found.items())


def mean_scores(several: Sequence[Sequence[Score]]) -> tuple[Score, ...]:
    """The mean over series of each score; one at least."""
    return tuple(
        Score(one.name, float(np.mean([each[k].value for each in several])), one.unit, one.better, one.split)
        for k, one in enumerate(several[0])
    )
