"""Exact match and F1 of answers, by hand from the rules of the official scripts, and the threshold by trying all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from recurra.metrics.squad import answer_quality, answer_scores, best_threshold, normalized


@pytest.mark.parametrize(
    ("answer", "compared"),
    [
        ("The  Broncos!", "broncos"),
        ("an a the theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("don't-do", "dontdo"),
        ("«Ça»", "«ça»"),  # ASCII punctuation alone
        ("the", ""),
    ],
)
def test_answers_are_compared_without_case_punctuation_and_articles(answer: str, compared: str) -> None:
    assert normalized(answer) == compared


def test_the_nearest_of_several_right_answers_counts() -> None:
    # "big red cat" beside "red cat": 2 words in both, precision 2/3, recall 1, F1 0.8; beside "cat": 1/3, 1, 0.5.
    assert answer_quality("the big red cat", ["cat", "a red cat"], nulls=False) == (0.0, pytest.approx(0.8))
    assert answer_quality("Red Cat.", ["cat", "a red cat"], nulls=False) == (1.0, 1.0)


def test_a_word_counts_as_often_as_it_is_in_both() -> None:
    # "to be to be" beside "to be or": 2 in both, precision 2/4, recall 2/3.
    f1 = 2 * 0.5 * (2 / 3) / (0.5 + 2 / 3)
    assert answer_quality("to be to be", ["to be or"], nulls=False)[1] == pytest.approx(f1)


def test_both_scripts_differ_where_an_answer_is_no_more_than_an_article() -> None:
    # 1.1: equal as compared, and no word in both; 2.0: such an answer is dropped, and nothing beside nothing is right.
    assert answer_quality("a", ["the"], nulls=False) == (1.0, 0.0)
    assert answer_quality("a", ["the"], nulls=True) == (1.0, 1.0)
    assert answer_quality("", ["the", "cat"], nulls=True) == (0.0, 0.0)


def test_scores_of_version_2_are_parted_by_whether_there_is_an_answer() -> None:
    said, golds = ["cat", "", "", "dog"], [["the cat"], ["big cat"], [], []]
    found = {score.name: score.value for score in answer_scores(said, golds, "dev")}
    assert found == {
        "exact_match": 0.5,
        "f1": 0.5,
        "answered_exact_match": 0.5,
        "answered_f1": 0.5,
        "unanswered_exact_match": 0.5,
    }


def test_where_all_have_answers_there_are_the_two_scores_of_version_1() -> None:
    found = answer_scores(["big cat", "x"], [["cat"], ["y"]], "dev")
    assert [(s.name, s.value) for s in found] == [("exact_match", 0.0), ("f1", pytest.approx((2 / 3) / 2))]


def total(threshold: float, gaps: list[float], qualities: list[float], known: list[bool]) -> float:
    rows = zip(gaps, qualities, known, strict=True)
    return sum((float(not k) if gap > threshold else (q if k else 0.0)) for gap, q, k in rows)


def test_no_other_threshold_is_better() -> None:
    rng = np.random.default_rng(5)
    for n in (1, 2, 7, 40):
        gaps = [float(g) for g in rng.integers(-4, 5, n)]
        known = [bool(k) for k in rng.random(n) < 0.6]
        qualities = [float(q) if k else 0.0 for q, k in zip(rng.random(n).round(1), known, strict=True)]
        found = total(best_threshold(gaps, qualities, known), gaps, qualities, known)
        tried = [x + half for x, half in itertools.product(range(-6, 7), (0.0, 0.5))]
        assert found == pytest.approx(max(total(t, gaps, qualities, known) for t in tried))


def test_a_threshold_lies_between_two_gaps() -> None:
    assert best_threshold([-3.0, 1.0, 2.0], [1.0, 0.0, 0.0], [True, False, False]) == -1.0
    assert best_threshold([], [], []) == 0.0
