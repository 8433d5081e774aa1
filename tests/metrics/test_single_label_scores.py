"""Scores of one label per row: hand-computed numbers, and scikit-learn as the oracle on random labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.metrics import (
    LabelOutput,
    average_precision,
    calibration_error,
    confusion,
    labelling,
    most_confused,
    reliability,
    roc_auc,
    scores,
)


def certain(label, labels):
    return LabelOutput(label, {other: float(other == label) for other in labels})


def values(found):
    return {score.name: score.value for score in found}


def random_rows(seed, num_labels, num_rows, *, decimals=16):
    """Gold labels, outputs and their arrays; some labels never occur, some are never predicted."""
    rng = np.random.default_rng(seed)
    labels = [f"L{i:02}" for i in range(num_labels)]
    table = rng.dirichlet(np.full(num_labels, 0.4), size=num_rows).round(decimals)
    gold = [labels[i] for i in rng.choice(num_labels, size=num_rows, p=rng.dirichlet(np.full(num_labels, 0.5)))]
    outputs = [LabelOutput(labels[int(p.argmax())], dict(zip(labels, p.tolist(), strict=True))) for p in table]
    return labels, gold, outputs, table


def test_the_scores_of_six_rows_are_those_computed_by_hand():
    labels = ["a", "b", "c"]
    gold, said = ["a", "a", "a", "b", "b", "c"], ["a", "a", "b", "b", "a", "a"]
    found = values(scores(labelling(gold, [certain(s, labels) for s in said], labels=labels), "test"))
    assert found["accuracy"] == found["f1_micro"] == found["precision_micro"] == found["recall_micro"] == 3 / 6
    assert (found["precision[a]"], found["recall[a]"], found["support[a]"]) == (2 / 4, 2 / 3, 3)
    assert found["f1[a]"] == pytest.approx(4 / 7)
    assert (found["precision[b]"], found["recall[b]"], found["f1[b]"]) == (1 / 2, 1 / 2, 1 / 2)
    assert (found["precision[c]"], found["recall[c]"], found["f1[c]"]) == (0, 0, 0)  # c is never predicted: 0/0 is 0
    assert found["f1_macro"] == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert found["log_loss"] == pytest.approx(3 / 6 * -math.log(np.finfo(float).eps))  # probability 0 costs 36.04 nats
    assert found["calibration_error"] == pytest.approx(1 / 2)  # certain, and right every second time


@pytest.mark.parametrize("seed", range(12))
def test_all_scores_agree_with_scikit_learn(seed):
    labels, gold, outputs, table = random_rows(seed, num_labels=2 + seed % 6, num_rows=1 + 17 * seed)
    said = [o.label for o in outputs]
    found = values(scores(labelling(gold, outputs, labels=labels), "test"))
    prf = sklearn.metrics.precision_recall_fscore_support
    for average in ("macro", "micro"):
        expected = prf(gold, said, average=average, zero_division=0)[:3]
        assert [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    each = prf(gold, said, labels=labels, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), each, strict=True):
        assert [found[f"{name}[{label}]"] for label in labels] == pytest.approx(column.tolist())
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(gold, said))
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(gold, table, labels=labels), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_two_labels_are_also_ranked_as_scikit_learn_ranks_them(seed):
    labels, gold, outputs, table = random_rows(seed, num_labels=2, num_rows=60, decimals=1)  # rounded: many ties
    gold[:2] = labels
    found = values(scores(labelling(gold, outputs, labels=labels), "test"))
    for k, label in enumerate(labels):
        positive = np.array(gold) == label
        ap = sklearn.metrics.average_precision_score(positive, table[:, k])
        assert found[f"average_precision[{label}]"] == pytest.approx(ap)
        assert found["roc_auc"] == pytest.approx(sklearn.metrics.roc_auc_score(positive, table[:, k]))


def test_ranking_by_hand():
    positive, score = np.array([True, False, True, False]), np.array([0.9, 0.6, 0.6, 0.1])
    assert roc_auc(positive, score) == (2 + 1.5) / 4  # four pairs: three won, one of them half
    assert average_precision(positive, score) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


@pytest.mark.parametrize("first", [True, False])
def test_scores_that_are_no_numbers_rank_nothing_whatever_the_order_of_rows(first):
    positive, score = np.array([first] * 5 + [not first] * 5), np.full(10, np.nan)
    assert math.isnan(roc_auc(positive, score))
    assert math.isnan(average_precision(positive, score))
    score[3:] = np.arange(7.0)
    assert math.isnan(roc_auc(positive, score))


def test_ranking_is_left_out_where_one_label_never_occurs():
    rows = labelling(["a", "a"], [certain("a", "ab"), certain("b", "ab")], labels=["a", "b"])
    assert not {"roc_auc", "average_precision[a]"} & set(values(scores(rows, "test")))


@pytest.mark.parametrize("seed", range(4))
def test_the_confusion_matrix_is_scikit_learns(seed):
    labels, gold, outputs, _ = random_rows(seed, num_labels=5, num_rows=80)
    table = confusion(labelling(gold, outputs, labels=labels))
    expected = sklearn.metrics.confusion_matrix(gold, [o.label for o in outputs], labels=labels)
    assert table.columns[1:] == tuple(labels)
    assert [row[0] for row in table.rows] == labels
    assert [list(row[1:]) for row in table.rows] == expected.tolist()


def test_the_most_confused_pairs_come_first_with_their_share_and_an_example():
    labels = ["a", "b", "c"]
    gold, said = ["a", "a", "a", "b", "c", "c"], ["b", "b", "a", "c", "a", "c"]
    origins = [Origin("names.csv", line) for line in range(2, 8)]
    table = most_confused(labelling(gold, [certain(s, labels) for s in said], labels=labels, origins=origins), most=2)
    assert table.columns == ("true", "predicted", "count", "share", "example")
    assert table.rows == (("a", "b", 2, 2 / 3, "names.csv:2"), ("b", "c", 1, 1.0, "names.csv:5"))


def test_a_faultless_classifier_has_no_confused_pairs():
    rows = labelling(["a"], [certain("a", "ab")], labels=["a", "b"])
    assert most_confused(rows).rows == ()
    assert most_confused(rows).columns == ("true", "predicted", "count", "share")


def test_the_calibration_error_of_four_rows_is_that_computed_by_hand():
    confidences = [(0.9, True), (0.9, False), (0.6, True), (0.55, True)]
    outputs = [LabelOutput("a", {"a": p, "b": 1 - p}) for p, _ in confidences]
    rows = labelling(["a" if right else "b" for _, right in confidences], outputs, labels=["a", "b"])
    # 0.55 and 0.6 = 9/15 share the bin (8/15, 9/15], 0.9 is in (13/15, 14/15].
    assert calibration_error(rows) == pytest.approx(2 / 4 * abs(1 / 2 - 0.9) + 2 / 4 * abs(1 - 0.575))
    assert reliability(rows).rows == (
        (8 / 15, 9 / 15, 2, pytest.approx(0.575), 1.0),
        (13 / 15, 14 / 15, 2, pytest.approx(0.9), 0.5),
    )


def test_the_reliability_table_agrees_with_scikit_learn():
    labels, gold, outputs, table = random_rows(3, num_labels=4, num_rows=400)
    right = np.array(gold) == [o.label for o in outputs]
    accuracy, confidence = sklearn.calibration.calibration_curve(right, table.max(1), n_bins=15)
    rows = reliability(labelling(gold, outputs, labels=labels)).rows
    assert [row[3] for row in rows] == pytest.approx(confidence.tolist())
    assert [row[4] for row in rows] == pytest.approx(accuracy.tolist())
    assert sum(row[2] for row in rows) == 400


def test_confidences_of_zero_and_one_have_a_bin():
    outputs = [LabelOutput("a", {"a": 0.0, "b": 1.0}), LabelOutput("a", {"a": 1.0, "b": 0.0})]
    rows = reliability(labelling(["b", "a"], outputs, labels=["a", "b"])).rows
    assert [row[:3] for row in rows] == [(0.0, 1 / 15, 1), (14 / 15, 1.0, 1)]


def test_an_unknown_gold_label_stops_with_its_origin_and_the_nearest_label():
    origins = [Origin("test.csv", 2), Origin("test.csv", 3)]
    outputs = [certain("spam", ["spam", "ham"])] * 2
    with raises_data_error(r"^test\.csv:3: unknown label 'spamm'; .*2 labels: spam, ham\. Did you mean 'spam'\?"):
        labelling(["ham", "spamm"], outputs, labels=["spam", "ham"], origins=origins)
    with raises_data_error(r"^test\.csv:2: unknown label 'x'"):  # the first of several
        labelling(["x", "x"], outputs, labels=["spam", "ham"], origins=origins)
    with raises_data_error(r"^row 1: unknown label 'x'"):
        labelling(["x", "ham"], outputs, labels=["spam", "ham"])


def raises_data_error(match):
    return pytest.raises(DataError, match=match)


def test_an_unknown_gold_label_can_count_as_wrong_and_is_reported():
    outputs = [certain("a", "ab"), certain("b", "ab"), certain("a", "ab")]
    gold = ["a", "new", "new"]
    rows = labelling(gold, outputs, labels=["a", "b"], unknown="wrong")
    found = values(scores(rows, "test"))
    assert (found["accuracy"], found["unknown_labels"], found["recall[new]"], found["support[new]"]) == (1 / 3, 2, 0, 2)
    said = [o.label for o in outputs]
    assert found["f1_macro"] == pytest.approx(sklearn.metrics.f1_score(gold, said, average="macro", zero_division=0))
    assert found["log_loss"] == pytest.approx(2 / 3 * -math.log(np.finfo(float).eps))
    assert confusion(rows).rows == (("a", 1, 0), ("b", 0, 0), ("new", 1, 1))


@pytest.mark.parametrize(
    ("gold", "outputs", "message"),
    [
        ([], [], "nothing to score"),
        (["a"], [], "1 gold labels, 0 outputs"),
        (["a"], [LabelOutput("z", {"a": 1.0, "b": 0.0})], "an output has the label 'z'"),
        (["a"], [LabelOutput("a", {"a": 1.0})], "no probability for the label 'b'"),
        (["a"], [LabelOutput("a", {"a": math.nan, "b": 1.0})], "row 1: probabilities nan to nan, expected 0 to 1"),
        (["a"], [LabelOutput("a", {"a": 1.5, "b": -0.5})], "row 1: probabilities -0.5 to 1.5"),
        (["a"], [LabelOutput("a", {"a": 0.5, "b": 0.3})], "row 1: the probabilities sum to 0.8, expected 1"),
    ],
)
def test_what_is_not_an_answer_is_refused(gold, outputs, message):
    with raises_data_error(message):
        labelling(gold, outputs, labels=["a", "b"])


def test_a_label_set_with_a_label_twice_is_refused():
    with raises_data_error("2 labels, 1 different"):
        labelling(["a"], [certain("a", "a")], labels=["a", "a"])


def test_a_label_set_of_one_is_scored():
    assert values(scores(labelling(["a"], [certain("a", "a")], labels=["a"]), "test"))["accuracy"] == 1


def test_every_score_states_its_split_unit_and_direction():
    labels, gold, outputs, _ = random_rows(0, num_labels=2, num_rows=30)
    found = {s.name: s for s in scores(labelling(gold, outputs, labels=labels), "dev")}
    assert {s.split for s in found.values()} == {"dev"}
    assert (found["log_loss"].unit, found["log_loss"].better) == ("nats", "lower")
    assert (found["calibration_error"].unit, found["calibration_error"].better) == ("0..1", "lower")
    assert (found["f1[L00]"].unit, found["f1[L00]"].better) == ("0..1", "higher")
    assert (found["support[L00]"].unit, found["support[L00]"].better) == ("rows", "neither")
