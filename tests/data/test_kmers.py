"""Runs of k letters: which ones, how they come together again, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from recurra.base.errors import ConfigError
from recurra.data.tokenizers import tokenizer_from_json
from recurra.data.tokenizers.kmers import Kmers


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({}, "acgta", ["ACG", "CGT", "GTA"]),
        ({"step": 3}, "ACGTACG", ["ACG", "TAC"]),
        ({"k": 1}, "AC GT\n", ["A", "C", "G", "T"]),
        ({"k": 6}, "ACGT", ["ACGT"]),
        ({"uppercase": False}, "acgT", ["acg", "cgT"]),
        ({}, " \n", []),
    ],
)
def test_letters_are_cut_into_runs(options: dict[str, Any], text: str, tokens: list[str]) -> None:
    tokenizer = Kmers(**options).train(["never read"])
    assert tokenizer.tokenize(text) == tokens
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.tokenize(text) == tokens


@pytest.mark.parametrize("step", [1, 2, 3])
def test_joined_runs_are_the_letters_that_were_read(step: int) -> None:
    tokenizer = Kmers(step=step)
    letters = "ACGTTGCAA"  # 3 + 6, so that each step comes to the end
    assert tokenizer.join(tokenizer.tokenize(letters)) == letters


def test_a_step_that_leaves_letters_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="step: is 4 with k 3, and would leave letters out; expected at most k"):
        Kmers(step=4)
