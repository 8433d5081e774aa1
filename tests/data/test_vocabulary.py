"""Tokens to numbers and back: four special numbers, the rest by frequency, and strict loading."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.tokenizers import BOS, EOS, PAD, UNK, Vocabulary, VocabularyPlan, vocabulary_from_json

SPECIALS = ["<pad>", "<unk>", "<bos>", "<eos>"]
COUNTS = {"the": 5, "cat": 2, "a": 2, "b": 2, "rare": 1}


def test_tokens_are_numbered_by_frequency_then_alphabet_after_the_special_ones() -> None:
    vocabulary = VocabularyPlan().build(COUNTS)
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert vocabulary.tokens(range(9)) == ["<pad>", "<unk>", "<bos>", "<eos>", "the", "a", "b", "cat", "rare"]
    assert vocabulary.ids(["cat", "dog", "the"]) == [7, UNK, 4]
    assert len(vocabulary) == 9


def test_rare_tokens_and_those_beyond_the_size_are_left_out() -> None:
    assert VocabularyPlan(min_count=2).build(COUNTS).tokens(range(4, 8)) == ["the", "a", "b", "cat"]
    assert len(VocabularyPlan(min_count=2).build(COUNTS)) == 8
    assert VocabularyPlan(max_size=6).build(COUNTS).tokens([4, 5]) == ["the", "a"]
    assert len(VocabularyPlan(max_size=6).build(COUNTS)) == 6


def test_a_token_spelt_like_a_special_one_is_unknown() -> None:
    vocabulary = VocabularyPlan().build({**COUNTS, "<eos>": 9})
    assert vocabulary.ids(["<eos>", "<pad>"]) == [UNK, UNK]
    assert len(vocabulary) == 9


@settings(max_examples=50, deadline=None)
@given(tokens=st.lists(st.text(min_size=1).filter(lambda token: token not in SPECIALS), unique=True))
def test_a_vocabulary_comes_back_from_json_as_it_was(tokens: list[str]) -> None:
    vocabulary = Vocabulary(tokens)
    again = vocabulary_from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.to_json() == vocabulary.to_json()
    assert again.tokens(again.ids(tokens)) == tokens


@pytest.mark.parametrize("number", [-1, 9])
def test_a_number_outside_is_refused(number: int) -> None:
    with pytest.raises(DataError, match=rf"expected a token number in 0\.\.8, got {number}"):
        VocabularyPlan().build(COUNTS).tokens([number])


def test_a_vocabulary_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(DataError, match="none of 5 different tokens appears at least 6 times"):
        VocabularyPlan(min_count=6).build(COUNTS)


@pytest.mark.parametrize("options", [{"min_count": 0}, {"max_size": 4}])
def test_limits_that_leave_no_token_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="vocabulary: expected min_count of at least 1 and max_size of at least 5"):
        VocabularyPlan(**options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "expected an object with the keys specials, tokens"),
        ({"tokens": []}, "expected an object with the keys specials, tokens"),
        ({"specials": SPECIALS[:3], "tokens": []}, "expected the specials <pad>, <unk>, <bos>, <eos>"),
        ({"specials": SPECIALS[::-1], "tokens": []}, "expected the specials"),
        ({"specials": SPECIALS, "tokens": {"a": 1}}, "expected a list of tokens"),
        ({"specials": SPECIALS, "tokens": ["a", 3]}, "expected a list of tokens"),
        ({"specials": SPECIALS, "tokens": ["a", "b", "a"]}, "1 tokens appear twice"),
        ({"specials": SPECIALS, "tokens": ["a", ""]}, "a token must not be empty"),
        ({"specials": SPECIALS, "tokens": ["<pad>"]}, "a token must not be empty or one of"),
    ],
)
def test_what_no_vocabulary_wrote_is_refused(data: object, message: str) -> None:
    with pytest.raises(RunError, match=f"^vocabulary: .*{message}"):
        vocabulary_from_json(data)
