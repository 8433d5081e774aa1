"""Files of analogies and of marked pairs, in the forms in which they are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.planes import pca
from recurra.data.word_vectors.questions import Analogy, Pair, folded, read_pairs, right_answers


@pytest.mark.parametrize(
    "text",
    [
        "tiger cat 7.35\n\nold new 1.58\n",
        "tiger\tcat\t7.35\nold\tnew\t1.58\n",
        "Word 1,Word 2,Human (mean)\ntiger,cat,7.35\nold,new,1.58\n",
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\ntiger\tcat\tN\t7.35\t2\nold\tnew\tA\t1.58\t3\n",
    ],
    ids=["spaces", "tabs", "WordSim-353", "SimLex-999"],
)
def test_pairs_are_read_in_the_forms_that_are_published(text: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    assert read_pairs(tmp_path / "pairs.txt") == [Pair("tiger", "cat", 7.35), Pair("old", "new", 1.58)]


def test_of_words_that_differ_in_case_alone_the_first_one_counts() -> None:
    made = WordVectors(["The", "us", "US", "the"], np.arange(4, dtype=np.float32).reshape(4, 1))
    assert folded(made).words == ("the", "us")
    assert folded(made).matrix.ravel().tolist() == [0, 1]
    assert folded(made, lowercase=False, among=3).words == ("The", "us", "US")


@pytest.mark.parametrize("rule", ["add", "multiply"])
def test_many_questions_at_once_have_the_answers_of_one_by_one(rule: str) -> None:
    rng = np.random.default_rng(4)
    words = [f"w{k}" for k in range(40)]
    made = WordVectors(words, rng.normal(size=(40, 6)).astype(np.float32))
    asked = [Analogy("", *(words[k] for k in rng.permutation(40)[:4])) for _ in range(300)]
    alone = [made.analogy(one.a, one.b, one.c, top=1, rule=rule)[0].word == one.d for one in asked]
    assert right_answers(made, asked, rule) == alone
    assert 0 < sum(alone) < 300
    assert right_answers(made, [], rule) == []


def test_points_lie_along_the_directions_in_which_they_differ_most() -> None:
    """Along (3, 4) / 5 by -2, 0, 2 and across by half of that, around (1, 1)."""
    along, across = np.array([3, 4]) / 5, np.array([-4, 3]) / 5
    vectors = np.array([1 + a * along + b * across for a, b in ((-2, 0), (2, 0), (0, 1), (0, -1))], np.float32)
    found = pca(vectors)
    np.testing.assert_allclose(found, [[-2, 0], [2, 0], [0, -1], [0, 1]], atol=1e-6)
    assert pca(vectors[:, :1]).shape == (4, 2)
    assert not pca(vectors[:, :1])[:, 1].any()
