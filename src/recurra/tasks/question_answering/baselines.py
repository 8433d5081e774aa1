"""What a model must beat: to count the words that a question and its context share.

sentence   the sentence of the context that has most of the question's words
distance   the words between others of the context that stand nearest to the question's words, as the baseline of
           Richardson et al. 2013 (MCTest) weighs them, which Rajpurkar et al. 2016, arXiv:1606.05250, section 5.1, took
A word counts by the logarithm of how few of the training contexts have it. Neither leaves a question without an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.metrics.squad import answer_scores
from recurra.tasks.overlap import Weights, words_of
from recurra.tasks.question_answering.rows import QuestionExample

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?]*(?:[.!?]+(?!\s)[^.!?]*)*(?:[.!?]+|$)", re.DOTALL)
# Words of an answer at most.
LONGEST = 5
# Distances between words that are in memory at once, at most (or as many as a context has words): 8 MB.
DISTANCES = 1_000_000
Pair = tuple[str, str]
Golds = Sequence[str]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Sentence:
    """The sentence that shares most with the question, by weight; the first of several."""

    def fit(self, pairs: Sequence[Pair], gold: Sequence[Golds]) -> None:
        self.weights = Weights([context for _, context in pairs])

    def predict(self, pairs: Sequence[Pair]) -> list[str]:
        return [self._best(*pair) for pair in pairs]

    def _best(self, question: str, context: str) -> str:
        asked = set(words_of(question))
        parts = [part for part in (found.group().strip() for found in _SENTENCE.finditer(context)) if part]
        return max(parts, key=lambda part: sum(map(self.weights.of, asked & set(words_of(part)))), default="")


class Distance:
    """Runs of at most LONGEST words that are none of the question's and not frequent; the one nearest to its words."""

    def fit(self, pairs: Sequence[Pair], gold: Sequence[Golds]) -> None:
        self.weights = Weights([context for _, context in pairs])

    def predict(self, pairs: Sequence[Pair]) -> list[str]:
        return [self._best(*pair) for pair in pairs]

    def _best(self, question: str, context: str) -> str:
        asked, found = set(words_of(question)), list(_WORD.finditer(context))
        words = [one.group().lower() for one in found]
        own = np.array([word in asked for word in words], bool)
        if not len(words):
            return ""
        near = self._nearness(words, np.flatnonzero(own))
        open_ = ~own & np.array([not self.weights.is_frequent(word) for word in words])
        runs = _runs(open_)
        if not runs:
            return ""
        start, stop = max(runs, key=lambda run: near[run[0] : run[1]].mean())
        return context[found[start].start() : found[stop - 1].end()]

    def _nearness(self, words: Sequence[str], own: Ints) -> Floats:
        """(N,) of each word: the weights of those at the places `own`, each over 1 + the words until there."""
        weights = np.array([self.weights.of(words[k]) for k in own], np.float64)
        steps, near = np.arange(len(words))[:, None], np.zeros(len(words))
        number = max(DISTANCES // len(words), 1)
        for first in range(0, len(own), number):
            some = slice(first, first + number)
            near += (weights[some] / (1.0 + np.abs(steps - own[some]))).sum(1)
        return near


def _runs(open_: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Stretches of True, as (start, stop), the first LONGEST of longer ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], open_, [False]]).astype(np.int8)))
    pairs = edges.reshape(-1, 2).tolist()
    return [(start, min(stop, start + LONGEST)) for start, stop in pairs]


class Nothing:
    """No answer to any question."""

    def fit(self, pairs: Sequence[Pair], gold: Sequence[Golds]) -> None:
        """Nothing is learned."""

    def predict(self, pairs: Sequence[Pair]) -> list[str]:
        return [""] * len(pairs)


KNOWN: dict[str, type[Sentence] | type[Distance] | type[Nothing]] = {
    "sentence": Sentence,
    "distance": Distance,
    "no answer": Nothing,
}


def compared(train: Sequence[QuestionExample], splits: Mapping[str, Sequence[QuestionExample]]) -> Compared:
    """The scores of both on every split; where some questions have no answer, also of never giving one."""

    def pairs(examples: Sequence[QuestionExample]) -> tuple[Any, list[Golds]]:
        return [(e.question, e.context) for e in examples], [e.answers or () for e in examples]

    def score(gold: Sequence[Golds], said: Sequence[str], split: str) -> tuple[Score, ...]:
        return answer_scores(said, gold, split)

    known: dict[str, Any] = {
        name: kind() for name, kind in KNOWN.items() if kind is not Nothing or any(not e.answers for e in train)
    }
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)
