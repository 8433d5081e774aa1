"""A language model of words without their histories, from texts that are too few for n-grams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


class Unigrams:
    """p of a word by how often it is in some texts, whatever was before it; unknown words are one word.

    counts: of words      texts: in which they are, as many ends
    Source: Witten & Bell 1991, "The zero-frequency problem", method C: T kinds among N tokens leave T / (N + T) to what
    was never seen.
    """

    def __init__(self, counts: Mapping[str, int], texts: int) -> None:
        kinds = len(counts) + (texts > 0)
        every = sum(counts.values()) + texts + kinds
        self._known = {word: math.log(number / every) for word, number in counts.items()}
        self._end = math.log(texts / every) if texts else 0.0
        self._unknown = math.log(kinds / every) if kinds else 0.0

    def start(self) -> None:
        """Before a text."""
        return

    def score(self, asked: Sequence[tuple[None, str]]) -> list[tuple[float, None]]:
        """ln p of each word."""
        return [(self.alone(word), None) for _, word in asked]

    def end(self, histories: Sequence[None]) -> list[float]:
        """ln p that a text ends here."""
        return [self._end] * len(histories)

    def knows(self, word: str) -> bool:
        """Whether a text has it."""
        return word in self._known

    def alone(self, word: str) -> float:
        """ln p of a word."""
        return self._known.get(word, self._unknown)
