"""Scores of spans, worked out by hand."""

from __future__ import annotations

import pytest

from recurra.metrics.spans import span_scores


def test_a_span_is_right_if_label_start_and_end_are() -> None:
    gold = [[("LOC", 0, 2), ("PER", 3, 4)], [("LOC", 0, 1)]]
    said = [[("LOC", 0, 2), ("PER", 3, 5), ("ORG", 6, 7)], [("PER", 0, 1)]]
    values = {score.name: score.value for score in span_scores(gold, said, "test")}
    # One of four said spans is right, and one of three true ones was found.
    assert values["precision_micro"] == pytest.approx(1 / 4)
    assert values["recall_micro"] == pytest.approx(1 / 3)
    assert values["f1_micro"] == pytest.approx(2 / 7)
    assert (values["precision[LOC]"], values["recall[LOC]"], values["support[LOC]"]) == (1.0, 0.5, 2.0)
    assert values["f1[PER]"] == 0.0
    assert "f1[ORG]" not in values


def test_spans_of_different_sentences_are_different() -> None:
    values = {s.name: s.value for s in span_scores([[("A", 0, 1)], []], [[], [("A", 0, 1)]], "test")}
    assert values["f1_micro"] == 0.0


def test_without_spans_all_scores_are_zero() -> None:
    assert [score.value for score in span_scores([[]], [[]], "test")] == [0.0, 0.0, 0.0]
