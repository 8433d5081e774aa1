"""Words' weights and nearest texts, against vectors over the whole vocabulary."""

from __future__ import annotations

import numpy as np

from oracles import retrieval
from recurra.metrics.tfidf import NearestTexts, WordWeights, words_of

TEXTS = ["the cat sat on the mat", "a dog sat", "the the the", "Cats and dogs", "", "dog dog dog mat"]
QUESTIONS = ["the dog", "mat mat cat", "nobody knows these", "sat on nobody", "!?"]


def test_cosines_are_those_of_vectors_over_the_whole_vocabulary() -> None:
    index = NearestTexts(TEXTS)
    found = np.stack([index.cosines(text) for text in QUESTIONS])
    wanted = retrieval.tfidf([words_of(one) for one in TEXTS], [words_of(one) for one in QUESTIONS])
    np.testing.assert_allclose(found, wanted, atol=1e-14)  # only the order of sums differs
    weights = WordWeights(TEXTS)
    pairs = np.array([[weights.cosine(one, other) for other in TEXTS] for one in QUESTIONS])
    np.testing.assert_allclose(pairs, wanted, atol=1e-14)


def test_words_that_no_text_has_are_near_to_nothing() -> None:
    index = NearestTexts(TEXTS)
    assert index.nearness("nobody knows these") == 0
    assert 0 < index.nearness("sat with nobody anywhere") < index.nearness("sat")
    assert NearestTexts([]).nearness("a") == 0


def test_words_are_letters_and_digits_together_and_characters_of_scripts_without_spaces() -> None:
    assert words_of("Don't STOP_now, 42nd x²!") == ["don", "t", "stop", "now", "42nd", "x²"]
    assert words_of("我是 GPT4。ไทย") == ["我", "是", "gpt4", "ไ", "ท", "ย"]


def test_texts_that_are_known_are_all_as_near_as_can_be() -> None:
    texts = [" ".join(f"w{(k * j) % 97}" for j in range(1, 20)) for k in range(200)]
    index = NearestTexts(texts)
    assert {index.nearness(text) for text in texts} == {1.0}  # the squares of 1 sum to 1 but for the last bit
