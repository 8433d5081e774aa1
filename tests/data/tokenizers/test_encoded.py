"""Training texts that are cut once: how often each token was seen."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.data.store import InMemory, Passing
from recurra.data.tokenizers.blocks import cut_block
from recurra.data.tokenizers.encoded import Corpus


@pytest.mark.parametrize("keeping", [InMemory(), Passing(InMemory())])
def test_tokens_of_all_blocks_are_counted_kept_or_not(keeping: InMemory | Passing) -> None:
    corpus = Corpus(keeping.numbers)
    for texts in (["a b a", "", "c"], ["d a"], ["b b e", "a"]):
        corpus.add(cut_block(str.split, texts))
    assert corpus.counts() == {"a": 4, "b": 3, "c": 1, "d": 1, "e": 1}


def test_tokens_of_some_texts_are_counted() -> None:
    corpus = Corpus(InMemory().numbers)
    for texts in (["a b a", "", "c"], ["d a"]):
        corpus.add(cut_block(str.split, texts))
    assert corpus.counts(np.array([True, True, False, True])) == {"a": 3, "b": 1, "d": 1}
