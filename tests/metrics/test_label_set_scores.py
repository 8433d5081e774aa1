"""Scores of any number of labels per row: hand-computed numbers, and scikit-learn as the oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.metrics import LabelSetOutput, label_counts, set_labelling, set_scores

LABELS = ["news", "sport", "war"]


def sure(*labels):
    return LabelSetOutput(labels, {label: float(label in labels) for label in LABELS})


def by_name(found):
    return {score.name: score.value for score in found}


def test_the_scores_of_three_rows_are_those_computed_by_hand():
    gold = [("news", "war"), ("sport",), ()]
    rows = set_labelling(gold, [sure("news"), sure("sport"), sure("sport")], labels=LABELS)
    found = by_name(set_scores(rows, "test"))
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert found["hamming_loss"] == pytest.approx(2 / 9)  # war is missed in row 1, sport is a false alarm in row 3
    assert (found["precision_micro"], found["recall_micro"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["log_loss"] == pytest.approx(2 / 9 * -math.log(np.finfo(float).eps))
    assert label_counts(rows).rows == (("news", 1, 1, 0, 0), ("sport", 1, 1, 0, 1), ("war", 1, 0, 1, 0))


@pytest.mark.parametrize("seed", range(8))
def test_set_scores_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, chance = rng.random((40, 3)) < 0.4, rng.random((40, 3))
    said = chance >= 0.6
    truth[:, 2] &= seed % 2 == 0  # on odd seeds a label never occurs
    outputs = [
        LabelSetOutput(tuple(np.array(LABELS)[row].tolist()), dict(zip(LABELS, p.tolist(), strict=True)))
        for row, p in zip(said, chance, strict=True)
    ]
    rows = set_labelling([np.array(LABELS)[row].tolist() for row in truth], outputs, labels=LABELS)
    found = by_name(set_scores(rows, "test"))
    assert found["subset_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, said))
    assert found["hamming_loss"] == pytest.approx(sklearn.metrics.hamming_loss(truth, said))
    losses = [sklearn.metrics.log_loss(truth[:, k], chance[:, k], labels=[False, True]) for k in range(3)]
    assert found["log_loss"] == pytest.approx(np.mean(losses))
    prf = sklearn.metrics.precision_recall_fscore_support
    for average in ("macro", "micro"):
        expected = prf(truth, said, average=average, zero_division=0)[:3]
        assert [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    each = prf(truth, said, average=None, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), each, strict=True):
        assert [found[f"{name}[{label}]"] for label in LABELS] == pytest.approx(column.tolist())


def test_an_unknown_label_in_a_set_stops_at_its_row_or_counts_as_missed():
    origins = [Origin("t.jsonl", line) for line in (1, 2)]
    gold, outputs = [("news", "war"), ("wars",)], [sure("news", "war"), sure()]
    with pytest.raises(DataError, match=r"^t\.jsonl:2: unknown label 'wars'.*Did you mean 'war'"):
        set_labelling(gold, outputs, labels=LABELS, origins=origins)
    found = by_name(set_scores(set_labelling(gold, outputs, labels=LABELS, unknown="wrong"), "test"))
    assert found["subset_accuracy"] == 0.5
    assert found["recall_micro"] == pytest.approx(2 / 3)
    assert found["unknown_labels"] == 1


def test_a_label_that_is_not_in_the_set_cannot_be_predicted():
    with pytest.raises(DataError, match="an output has the label 'chess'"):
        set_labelling([()], [LabelSetOutput(("chess",), dict.fromkeys(LABELS, 0.1))], labels=LABELS)
