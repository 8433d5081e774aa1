"""Subwords: the merges of the papers' examples, the same bits every time, and strict loading."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from recurra.base.errors import ConfigError, DataError, RunError
from recurra.data.tokenizers import tokenizer_from_json
from recurra.data.tokenizers.subwords import ALGORITHMS, Subwords
from recurra.data.tokenizers.unigram import lattice, train_unigram

# Sennrich et al. 2016, section 3.2: the toy dictionary, with its counts.
TOY = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
CORPUS = ["The cat sat on the mat.", "A cat and a dog, a dog and a cat!", "Cats sat; dogs ran.", "naïve café"] * 3


def test_byte_pair_merges_are_those_of_the_paper() -> None:
    """'e s', 'es t' (9 times each), then 'l o', 'lo w' (7); but here a mark begins a word, where there one ends it."""
    merges = Subwords(algorithm="bpe", vocab_size=16).train(TOY).to_json()["model"]["merges"]
    # Of pairs that are equally frequent, the one whose pieces were known first: the alphabet, in order, then merges.
    assert merges == [["e", "s"], ["es", "t"], ["l", "o"], ["▁", "lo"]]


def test_word_pieces_inside_a_word_carry_the_mark() -> None:
    tokenizer = Subwords(algorithm="wordpiece", vocab_size=24).train(TOY)
    assert tokenizer.tokenize("lowest") == ["low", "##est"]
    assert tokenizer.tokenize("low,") == ["low", "<unk>"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pieces_joined_are_the_words(algorithm: str) -> None:
    tokenizer = Subwords(algorithm=algorithm, vocab_size=60).train(CORPUS)  # type: ignore[arg-type]
    pieces = tokenizer.tokenize("The dogs  sat,\nnaïve cat!")
    if algorithm == "wordpiece":
        joined = "".join(piece[2:] if piece.startswith("##") else " " + piece for piece in pieces)
        assert joined == " The dogs sat , naïve cat !"
    else:
        assert "".join(pieces) == "▁The▁dogs▁sat,▁naïve▁cat!"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_character_that_was_never_seen_is_unknown(algorithm: str) -> None:
    tokenizer = Subwords(algorithm=algorithm, vocab_size=60).train(CORPUS)  # type: ignore[arg-type]
    assert "<unk>" in tokenizer.tokenize("cat 日 dog")
    assert tokenizer.tokenize("") == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_vocabulary_has_the_size_that_was_asked_for(algorithm: str) -> None:
    pieces = Subwords(algorithm=algorithm, vocab_size=60).train(CORPUS).to_json()["model"]["pieces"]  # type: ignore[arg-type]
    assert len(pieces) == 60
    assert pieces[0] == "<unk>"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_order_of_the_texts_changes_no_bit(algorithm: str) -> None:
    plan = Subwords(algorithm=algorithm, vocab_size=60)  # type: ignore[arg-type]
    assert plan.train(CORPUS).to_json() == plan.train(CORPUS[::-1]).to_json()


SCRIPT = """
import json, sys
from recurra.data.tokenizers.subwords import ALGORITHMS, Subwords
corpus = json.loads(sys.argv[1])
print(json.dumps([Subwords(algorithm=a, vocab_size=60).train(corpus).to_json() for a in ALGORITHMS]))
"""


def test_another_process_learns_the_same_bits() -> None:
    """With another hash seed, and with the library's threads allowed."""
    seed = {**os.environ, "PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "true"}
    arguments = [sys.executable, "-c", SCRIPT, json.dumps(CORPUS)]
    there = json.loads(subprocess.run(arguments, env=seed, capture_output=True, check=True).stdout)
    here = [Subwords(algorithm=name, vocab_size=60).train(CORPUS).to_json() for name in ALGORITHMS]
    assert there == json.loads(json.dumps(here))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_subwords_come_back_from_json_as_they_were(algorithm: str) -> None:
    tokenizer = Subwords(algorithm=algorithm, vocab_size=60, lowercase=True).train(CORPUS)  # type: ignore[arg-type]
    again = tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.to_json() == tokenizer.to_json()
    assert again.tokenize("The NAÏVE cat's mat 日") == tokenizer.tokenize("The NAÏVE cat's mat 日")


def damaged(tokenizer: str) -> Iterator[tuple[dict[str, object], str]]:
    """What `to_json` wrote, changed at one place, and a part of the sentence that refuses it."""
    good = Subwords(algorithm=tokenizer, vocab_size=60).train(CORPUS).to_json()  # type: ignore[arg-type]

    def with_model(**changes: object) -> dict[str, object]:
        data = copy.deepcopy(good)
        data["model"].update(changes)
        return data

    pieces = good["model"]["pieces"]
    yield {**good, "algorithm": "bqe"}, "unknown algorithm 'bqe'"
    yield {**good, "algorithm": []}, "unknown algorithm"
    yield {**good, "model": 3}, "expected a list of pieces"
    yield {**good, "extra": 1}, "expected the keys"
    yield with_model(extra=1), "expected the keys"
    yield with_model(pieces=[*pieces[:-1], 3]), "expected a list of pieces"
    yield with_model(pieces=[*pieces[:-1], ""]), "expected a list of pieces"
    yield with_model(pieces=[*pieces[:-1], pieces[1]]), "expected different pieces"
    yield with_model(pieces=pieces[1:]), "expected different pieces, the first of them '<unk>'"
    if tokenizer == "bpe":
        yield with_model(merges={}), "expected a list of merges"
        yield with_model(merges=[["T"]]), "is not of two pieces into a third"
        yield with_model(merges=[["T", 3]]), "is not of two pieces into a third"
        yield with_model(merges=[["T", "zz"]]), "is not of two pieces into a third"
    if tokenizer == "unigram":
        yield with_model(scores=good["model"]["scores"][1:]), "expected 60 scores"
        yield with_model(scores=[math.nan] * 60), "expected scores that are log probabilities"
        yield with_model(scores=["0"] * 60), "expected scores that are log probabilities"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_damaged_subwords_are_refused(algorithm: str) -> None:
    for data, message in damaged(algorithm):
        with pytest.raises(RunError, match=message):
            tokenizer_from_json(data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_size_that_cannot_hold_the_characters_is_refused(algorithm: str) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size: expected more than \d+, the number of different characters"):
        Subwords(algorithm=algorithm, vocab_size=10).train(CORPUS)  # type: ignore[arg-type]


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(DataError, match="the training texts hold no word"):
        Subwords().train(["", " \n"])


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ConfigError, match="algorithm: expected one of bpe, unigram, wordpiece, got 'bep'"):
        Subwords(algorithm="bep")  # type: ignore[arg-type]


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    Subwords(vocab_size=60).train(CORPUS).tokenize("cat")
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    Subwords(vocab_size=60).train(CORPUS).tokenize("cat")
    assert "TOKENIZERS_PARALLELISM" not in os.environ


# An oracle for the lattice: write out every way to cut a word.


def segmentations(word: str, pieces: dict[str, float]) -> Iterator[list[str]]:
    if not word:
        yield []
    for end in range(1, len(word) + 1):
        if word[:end] in pieces:
            for rest in segmentations(word[end:], pieces):
                yield [word[:end], *rest]


def expected_by_enumeration(words: dict[str, int], pieces: dict[str, float]) -> dict[str, float]:
    expected: Counter[str] = Counter()
    for word, count in words.items():
        ways = [(way, math.exp(sum(pieces[piece] for piece in way))) for way in segmentations(word, pieces)]
        total = sum(share for _, share in ways)
        for way, share in ways:
            for piece in way:
                expected[piece] += count * share / total  # type: ignore[assignment]
    return dict(expected)


def test_expected_counts_are_those_of_all_segmentations_written_out() -> None:
    pieces = {"a": -1.5, "b": -2.0, "c": -3.0, "ab": -1.0, "bc": -2.5, "abc": -4.0, "aa": -0.7}
    words = {"abc": 3, "aab": 1, "a": 2, "cabcaa": 5}
    cuts = lattice(list(words), {piece: n for n, piece in enumerate(pieces)})
    got = cuts.expected_counts(np.array(list(pieces.values())), np.array(list(words.values()), dtype=float))
    expected = expected_by_enumeration(words, pieces)
    np.testing.assert_allclose(got, [expected[piece] for piece in pieces], rtol=1e-12)  # only the order of sums differs


def test_fewer_pieces_give_the_lattice_that_they_would_have_given_alone() -> None:
    pieces = {"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4}
    kept, scores, weights = np.array([0, 1, 3]), np.array([-1.0, -1.5, -0.5]), np.array([2.0, 1.0])
    narrowed = lattice(["abab", "ba"], pieces).only(kept)
    alone = lattice(["abab", "ba"], {"a": 0, "b": 1, "ba": 2})
    np.testing.assert_array_equal(narrowed.expected_counts(scores, weights), alone.expected_counts(scores, weights))


def test_a_frequent_word_is_one_piece_and_probabilities_sum_to_one() -> None:
    pieces = dict(train_unigram({"▁the": 100, "▁then": 5, "▁cat": 60, "▁ten": 3}, 12))
    assert {"▁the", "▁cat"} <= pieces.keys()
    assert {"▁", "t", "h", "e", "n", "c", "a"} <= pieces.keys()
    assert sum(math.exp(score) for score in pieces.values()) == pytest.approx(1, abs=1e-9)


def test_a_line_without_spaces_does_not_fill_memory() -> None:
    tokenizer = Subwords(algorithm="unigram", vocab_size=50).train(["ab" * 20_000, "the cat"])
    assert "".join(tokenizer.tokenize("abab cat")) == "▁abab▁cat"
