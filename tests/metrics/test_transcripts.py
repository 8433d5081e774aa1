"""Word error rates by hand, beside jiwer's, and of empty references."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from recurra.metrics.transcripts import confusions, edits, summed, transcript_scores


def by_recursion(a, b):
    """Levenshtein's distance as he defined it."""
    if not a or not b:
        return len(a) + len(b)
    return min(by_recursion(a[1:], b) + 1, by_recursion(a, b[1:]) + 1, by_recursion(a[1:], b[1:]) + (a[0] != b[0]))


def test_edits_by_hand():
    found = edits(["the", "cat", "sat", "on", "mats"], ["the", "hat", "sat", "on", "a", "mat", "there"])
    assert (found.correct, found.substituted, found.deleted, found.inserted) == (3, 2, 0, 2)
    assert found.rate == 4 / 5
    found = edits(["a", "b", "c"], ["b", "c"])
    assert (found.correct, found.deleted, found.pairs) == (2, 1, (("a", None),))


def test_edits_are_the_fewest():
    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = (["xyz"[k] for k in rng.integers(3, size=rng.integers(6))] for _ in range(2))
        found = edits(a, b)
        assert found.all == by_recursion(a, b)
        assert found.correct + found.substituted + found.deleted == len(a)
        assert found.correct + found.substituted + found.inserted == len(b)


def test_long_texts_take_two_bits_for_each_pair_of_tokens():
    rng = np.random.default_rng(1)
    a, b = (["abcdefgh"[k] for k in rng.integers(8, size=2_000)] for _ in range(2))
    tracemalloc.start()
    found = edits(a, b)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000  # 2,000 * 2,000 / 4 bytes, and what is in a row
    assert found.correct + found.substituted + found.deleted == len(a)


def test_rates_are_of_the_corpus_and_as_jiwer_has_them():
    jiwer = pytest.importorskip("jiwer", reason="jiwer is not installed")
    references, said = ["a b c d", "e", "f g"], ["a x c d y", "", "f g"]
    found = {s.name: s.value for s in transcript_scores(references, said, "test")}
    assert found["wer"] == pytest.approx(3 / 7) == pytest.approx(jiwer.wer(references, said))
    assert found["cer"] == pytest.approx(jiwer.cer(references, said))
    assert found["sentence_error"] == pytest.approx(2 / 3)
    counts = [found[name] for name in ("substitutions", "deletions", "insertions", "correct")]
    assert counts == [1, 1, 1, 5]


@pytest.mark.parametrize(("reference", "said", "rate"), [("", "", 0.0), ("", "a b", 2.0), ("a", "", 1.0)])
def test_an_empty_reference_is_as_in_jiwer_4(reference, said, rate):
    assert edits(reference.split(), said.split()).rate == rate


def test_confusions_are_counted():
    found = summed([edits(["B"], ["D"]), edits(["B"], ["D"]), edits(["A"], []), edits([], ["E"])])
    assert confusions(found) == (("B", "D", 2), ("", "E", 1), ("A", "", 1))
