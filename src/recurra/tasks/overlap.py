"""Words that two texts share, and how much each counts: what baselines of tasks on several texts read."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
# The share of texts from which on a word is frequent.
FREQUENT = 0.3


class Weights:
    """How much a word counts: log(1 + texts / texts with it)."""

    def __init__(self, texts: Sequence[str]) -> None:
        different = set(texts)
        self.number = max(len(different), 1)
        self.counts = Counter(word for text in different for word in set(words_of(text)))

    def of(self, word: str) -> float:
        return math.log(1 + self.number / (1 + self.counts[word]))

    def is_frequent(self, word: str) -> bool:
        return self.counts[word] > FREQUENT * self.number


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [found.group().lower() for found in _WORD.finditer(text)]
