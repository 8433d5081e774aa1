"""Scores of replies, against the papers written out and by hand."""

from __future__ import annotations

import math

import pytest

from oracles import retrieval
from recurra.metrics.dialogue import (
    distinct,
    dull_replies,
    dull_share,
    length_ratio,
    rank_of,
    recalls,
    reply_scores,
)

TEXTS = ["i do not know", "i do not know", "yes", "what do you mean by that", ""]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_is_that_of_the_paper(n: int) -> None:
    assert distinct(TEXTS, n) == retrieval.distinct(TEXTS, n)


def test_nothing_written_has_no_different_words() -> None:
    assert distinct(["", "yes"], 2) == 0


def test_dull_replies_are_those_that_stand_most_often_whatever_their_signs() -> None:
    dull = dull_replies(["Yes.", "yes", "No", "I don't know!", "i don't know", "i don't know...", "never said twice"])
    assert dull == ("i don t know", "yes")
    assert dull_share(["YES!", "yes of course", "I don't know"], dull) == pytest.approx(2 / 3)


def test_equal_candidates_stand_before_the_right_one() -> None:
    assert rank_of(0.5, [0.1, 0.2]) == 1
    assert rank_of(0.5, [0.5, 0.7, 0.2]) == 3  # a model that says the same of all has found nothing
    assert [(s.name, s.value) for s in recalls([1, 5, 6, 10], "dev")] == [("recall_at_1", 0.25), ("recall_at_5", 0.5)]
    assert recalls([], "dev") == ()


def test_candidates_that_are_no_number_stand_before_the_right_one_and_all_before_one_that_is_none() -> None:
    assert rank_of(math.nan, [0.1, 0.2]) == 3
    assert rank_of(math.nan, [math.nan] * 9) == 10
    assert rank_of(0.5, [math.nan, 0.2]) == 2


def test_scores_of_replies_have_their_names_and_values() -> None:
    found = {s.name: s.value for s in reply_scores(["yes", "so what"], ["yes it is", "no"], ("yes",), "test")}
    assert found == {"distinct_1": 1.0, "distinct_2": 1.0, "length_ratio": 0.75, "dull_share": 0.5}
    assert length_ratio(["a"], [""]) == 1.0
