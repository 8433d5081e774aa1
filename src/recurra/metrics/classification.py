"""Scores and tables where each row has one label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score, Table
from recurra.metrics.calibration import calibration_error
from recurra.metrics.labelling import Labelling
from recurra.metrics.ranking import ranking_scores
from recurra.metrics.rates import Counts, macro, micro, nats, per_label, unknown_labels


def scores(rows: Labelling, split: str) -> tuple[Score, ...]:
    """Score one split.

    accuracy, f1_macro, log_loss (nats per row), calibration_error, precision_macro, recall_macro, the three micro
    averages (each equal to accuracy here), for two labels roc_auc and average_precision[x], then precision[x],
    recall[x], f1[x] and support[x] of every label x. Macro averages are over the labels that occur in the gold labels
    or in the predictions of this split, as scikit-learn's are by default; undefined rates are 0.
    """
    counts = _counts(_matrix(rows))
    seen = (counts.support + counts.predicted) > 0
    averaged = Counts(counts.hits[seen], counts.predicted[seen], counts.support[seen])
    return (
        Score("accuracy", float((rows.gold == rows.predicted).mean()), "0..1", "higher", split),
        *macro(averaged, split),
        *micro(counts, split),
        Score("log_loss", _log_loss(rows), "nats", "lower", split),
        Score("calibration_error", calibration_error(rows), "0..1", "lower", split),
        *ranking_scores(rows, split),
        *unknown_labels(counts.support, rows.num_labels, split),
        *per_label(counts, rows.names, split),
    )


def confusion(rows: Labelling) -> Table:
    """Rows are true labels, columns predicted ones; unknown gold labels stand in rows of their own, at the end."""
    labels = rows.names[: rows.num_labels]
    matrix = _matrix(rows)[:, : rows.num_labels].tolist()
    return Table(
        caption="Confusion matrix: rows are true labels, columns are predictions",
        columns=("true \\ predicted", *labels),
        rows=tuple((name, *counts) for name, counts in zip(rows.names, matrix, strict=True)),
    )


def most_confused(rows: Labelling, *, most: int = 10) -> Table:
    """The pairs (true, predicted) that were mistaken most often, with their share of the true label's rows.

    Ties stand in the order of the label set. `example` is the origin of the first such row, where origins are known.
    """
    matrix = _matrix(rows)
    wrong = matrix * (1 - np.eye(len(rows.names), dtype=np.int64))
    order = [int(i) for i in np.argsort(-wrong, axis=None, kind="stable")[:most] if wrong.flat[i] > 0]
    pairs = [divmod(i, len(rows.names)) for i in order]
    return Table(
        caption="Most confused pairs",
        columns=("true", "predicted", "count", "share", *(("example",) if rows.origins else ())),
        rows=tuple(
            (
                rows.names[true],
                rows.names[said],
                int(matrix[true, said]),
                float(matrix[true, said] / matrix[true].sum()),
                *((_first(rows, true, said),) if rows.origins else ()),
            )
            for true, said in pairs
        ),
    )


def _matrix(rows: Labelling) -> NDArray[np.int64]:
    """(K, K) counts: rows true, columns predicted."""
    K = len(rows.names)
    return np.bincount(rows.gold * K + rows.predicted, minlength=K * K).reshape(K, K)


def _counts(matrix: NDArray[np.int64]) -> Counts:
    return Counts(hits=matrix.diagonal(), predicted=matrix.sum(0), support=matrix.sum(1))


def _log_loss(rows: Labelling) -> float:
    return float(nats(rows.probabilities[np.arange(len(rows.gold)), rows.gold]).mean())


def _first(rows: Labelling, true: int, said: int) -> str:
    return str(rows.origins[int(((rows.gold == true) & (rows.predicted == said)).argmax())])
