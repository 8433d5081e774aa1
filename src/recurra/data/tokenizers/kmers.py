"""Runs of k letters, for DNA, RNA and proteins: at every letter, or one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys


class Kmers:
    """Runs of k letters, without white space and in capitals; nothing to train. A text of fewer letters is one token.

    Raises ConfigError for a step that leaves letters out.
    """

    def __init__(
        self,
        *,
        k: Annotated[int, Opt("letters of a token", ge=1, le=16)] = 3,
        step: Annotated[int, Opt("letters from one token to the next; k: one after the other", ge=1, le=16)] = 1,
        uppercase: Annotated[bool, Opt("read small letters, which mask repeats in genomes, as capitals")] = True,
    ) -> None:
        if step > k:
            raise ConfigError(f"step: is {step} with k {k}, and would leave letters out; expected at most k.")
        self._k, self._step, self._uppercase = k, step, uppercase

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Itself: `texts` are not read."""
        return self

    def tokenize(self, text: str) -> list[str]:
        """Cut `text`; letters at the end that fill no step are left out."""
        letters = "".join(text.split())
        letters = letters.upper() if self._uppercase else letters
        last = max(len(letters) - self._k, 0)
        return [letters[n : n + self._k] for n in range(0, last + 1, self._step)] if letters else []

    def join(self, tokens: Sequence[str]) -> str:
        """The letters: of each token those that the one before it does not have."""
        return "".join(token if n == 0 else token[-self._step :] for n, token in enumerate(tokens))

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": "kmers", "k": self._k, "step": self._step, "uppercase": self._uppercase}


def kmers_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The opposite of `Kmers.to_json`."""
    return Kmers(**with_keys(data, "k", "step", "uppercase"))
