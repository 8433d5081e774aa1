"""Texts as weights of their words, and which of them are nearest to another: what retrieval is compared with.

A word weighs (1 + log count) times 1 + log((1 + N) / (1 + n)), for n of N texts that have it; nearness is the cosine
(Salton & Buckley 1988, "Term-weighting approaches in automatic text retrieval", with the smoothing of scikit-learn).
A word that no text has weighs as one of no text does: it counts in the length of a question and is found nowhere, so
that a question in words that nobody knows is near to nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Letters and digits that stand together; of scripts without spaces each character.
_DENSE = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]+")


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


class WordWeights:
    """How much a word tells, from the texts that have it."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        self.num_texts = 0
        for text in texts:
            self.num_texts += 1
            counts.update(set(words_of(text)))
        self._counts = counts

    def of(self, word: str) -> float:
        """1 + log((1 + N) / (1 + n))."""
        return 1 + math.log((1 + self.num_texts) / (1 + self._counts.get(word, 0)))

    def vector(self, text: str) -> Mapping[str, float]:
        """The weight of each word, of length 1; {} of a text without words."""
        found = {word: (1 + math.log(n)) * self.of(word) for word, n in Counter(words_of(text)).items()}
        length = math.sqrt(math.fsum(weight * weight for weight in found.values()))
        return {word: weight / length for word, weight in found.items()}

    def cosine(self, one: str, other: str) -> float:
        """How near two texts are, 0..1."""
        first, second = self.vector(one), self.vector(other)
        return math.fsum(weight * second[word] for word, weight in first.items() if word in second)


class NearestTexts:
    """Texts that are searched for those near to another one: for each word, the texts that have it.

    weights: None: of these texts
    """

    def __init__(self, texts: Sequence[str], weights: WordWeights | None = None) -> None:
        self.weights = WordWeights(texts) if weights is None else weights
        places: dict[str, list[int]] = {}
        values: dict[str, list[float]] = {}
        for number, text in enumerate(texts):
            for word, weight in self.weights.vector(text).items():
                places.setdefault(word, []).append(number)
                values.setdefault(word, []).append(weight)
        self.number = len(texts)
        self._of = {word: (np.array(places[word]), np.array(values[word])) for word in places}

    def cosines(self, text: str) -> Floats:
        """(N,), how near each is, 0..1."""
        found = np.zeros(self.number)
        for word, weight in self.weights.vector(text).items():
            if word in self._of:
                places, values = self._of[word]
                found[places] += weight * values
        return found

    def nearness(self, text: str) -> float:
        """How near the nearest is, 0..1; 0 where there is none. Of the same words it is 1, whatever they are."""
        # Twelve digits: sums of squares are 1 but for the last bit, which would tell apart what is known as well.
        return min(round(float(self.cosines(text).max(initial=0.0)), 12), 1.0)
