"""Scores and tables where each row has any number of labels."""

from __future__ import annotations

import numpy as np

from recurra.base.contracts import Score, Table
from recurra.metrics.labelling import SetLabelling
from recurra.metrics.rates import Counts, macro, micro, nats, per_label, unknown_labels


def set_scores(rows: SetLabelling, split: str) -> tuple[Score, ...]:
    """Score one split.

    subset_accuracy (all labels of a row right), hamming_loss (share of wrong yes/no answers), macro and micro averages
    of precision, recall and F1 over all labels, log_loss (nats per yes/no answer), then precision[x], recall[x],
    f1[x] and support[x] of every label x. Undefined rates are 0.
    """
    counts = _counts(rows)
    wrong = rows.gold != rows.predicted
    happened = np.where(rows.gold, rows.probabilities, 1 - rows.probabilities)
    return (
        Score("subset_accuracy", float(1 - wrong.any(1).mean()), "0..1", "higher", split),
        Score("hamming_loss", float(wrong.mean()), "0..1", "lower", split),
        *macro(counts, split),
        *micro(counts, split),
        Score("log_loss", float(nats(happened).mean()), "nats", "lower", split),
        *unknown_labels(counts.support, rows.num_labels, split),
        *per_label(counts, rows.names, split),
    )


def label_counts(rows: SetLabelling) -> Table:
    """Of each label: rows that have it, rightly given, missed, and wrongly given."""
    counts = _counts(rows)
    columns = (counts.support, counts.hits, counts.support - counts.hits, counts.predicted - counts.hits)
    return Table(
        caption="Answers per label",
        columns=("label", "rows with it", "found", "missed", "false alarms"),
        rows=tuple((name, *(int(column[k]) for column in columns)) for k, name in enumerate(rows.names)),
    )


def _counts(rows: SetLabelling) -> Counts:
    return Counts(hits=(rows.gold & rows.predicted).sum(0), predicted=rows.predicted.sum(0), support=rows.gold.sum(0))
