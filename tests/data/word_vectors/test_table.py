"""Neighbours and analogies, against sums done here in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError, DataError
from recurra.data.word_vectors import WordVectors

WORDS = ("man", "king", "woman", "queen", "apple", "zero")
# Royalty along the first axis, gender along the second, fruit along the third.
ROWS = [[0, 1, 0], [3, 1, 0], [0, -1, 0], [3, -1, 0], [0, 0, 5], [0, 0, 0]]
VECTORS = WordVectors(WORDS, np.array(ROWS, np.float32))


def cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return a @ b / length if length else 0.0


def test_the_nearest_words_come_first_with_their_cosines():
    found = VECTORS.similar("king", top=2)
    assert [one.word for one in found] == ["queen", "man"]
    assert [one.score for one in found] == pytest.approx([(9 - 1) / 10, 1 / 10**0.5])


def test_of_several_words_the_mean_of_their_directions_counts():
    mean = np.array([3, 1, 0]) / 10**0.5 + np.array([0, 0, 1.0])
    found = {one.word: one.score for one in VECTORS.similar("king", "apple", top=9)}
    assert found == pytest.approx(
        {w: cosine(mean, r) for w, r in zip(WORDS, ROWS, strict=True) if w not in ("king", "apple")}
    )


def test_king_is_to_man_what_queen_is_to_woman():
    assert VECTORS.analogy("man", "king", "woman", top=1)[0].word == "queen"
    assert VECTORS.analogy("man", "king", "woman", top=1, rule="multiply")[0].word == "queen"


def test_the_rules_of_analogies_are_those_of_their_papers():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(9, 5)).astype(np.float32)
    vectors = WordVectors([f"w{k}" for k in range(9)], rows)
    unit = (rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)).astype(np.float64)
    a, b, c, *others = unit
    added = {f"w{k}": cosine(b - a + c, x) for k, x in enumerate(others, 3)}
    multiplied = {
        f"w{k}": (1 + x @ b) / 2 * (1 + x @ c) / 2 / ((1 + x @ a) / 2 + 0.001) for k, x in enumerate(others, 3)
    }
    assert dict(vectors.analogy("w0", "w1", "w2")) == pytest.approx(added, abs=1e-6)
    assert dict(vectors.analogy("w0", "w1", "w2", rule="multiply")) == pytest.approx(multiplied, rel=1e-5)


def test_equally_near_words_come_in_the_order_of_the_file():
    vectors = WordVectors(list("abcdefgh"), np.ones((8, 2), np.float32))
    assert [one.word for one in vectors.similar("e", top=4)] == ["a", "b", "c", "d"]


def test_only_the_first_words_are_looked_at_where_that_is_asked_for():
    assert [one.word for one in VECTORS.similar("king", among=3)] == ["man", "woman"]
    assert [one.word for one in VECTORS.similar("zero", among=2)] == ["man", "king"]


@given(st.floats(1e-30, 1e30), st.floats(1e-30, 1e30))
@settings(max_examples=30)
def test_the_cosine_does_not_depend_on_lengths(one, other):
    vectors = WordVectors(["a", "b"], np.array([[one, one], [0, other]], np.float32))
    assert vectors.similarity("a", "b") == pytest.approx(0.5**0.5, abs=1e-6)


def test_a_vector_of_zeros_is_near_nothing():
    assert VECTORS.similarity("zero", "king") == 0
    assert {one.score for one in VECTORS.similar("zero", top=9)} == {0}


def test_a_word_without_a_vector_is_named_with_one_that_is_near():
    with pytest.raises(DataError, match=r"no vector for 'kign' among 6 words\. Did you mean 'king'\?"):
        VECTORS.similar("kign")


@pytest.mark.parametrize("options", [{"top": 0}, {"among": 0}, {"top": -3}])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ConfigError, match="expected a number of words from 1"):
        VECTORS.similar("king", **options)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match=r"unknown rule 'divide'; expected one of add, multiply"):
        VECTORS.analogy("man", "king", "woman", rule="divide")
