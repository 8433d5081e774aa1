"""What a model must beat: the place that is right most often, and the words that a choice shares with its context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.tasks.multiple_choice.rows import ChoiceExample, ChoiceRow
from recurra.tasks.overlap import Weights, words_of


class Majority:
    """The place that was right most often in training, of those that a question has."""

    def fit(self, rows: Sequence[ChoiceRow], gold: Sequence[int]) -> None:
        self.counts = Counter(gold)

    def predict(self, rows: Sequence[ChoiceRow]) -> list[Any]:
        return [np.array([float(self.counts[k]) for k in range(len(row.choices))]) for row in rows]


class Overlap:
    """The choice whose words stand in context and question, by weight and on average."""

    def fit(self, rows: Sequence[ChoiceRow], gold: Sequence[int]) -> None:
        self.weights = Weights([row.asked for row in rows])

    def predict(self, rows: Sequence[ChoiceRow]) -> list[Any]:
        return [np.array([self._shared(row, choice) for choice in row.choices]) for row in rows]

    def _shared(self, row: ChoiceRow, choice: str) -> float:
        words, asked = words_of(choice), set(words_of(row.asked))
        return sum(self.weights.of(word) for word in words if word in asked) / max(len(words), 1)


def compared(train: Sequence[ChoiceExample], splits: Mapping[str, Sequence[ChoiceExample]]) -> Compared:
    """The accuracy of both on every split."""

    def pairs(examples: Sequence[ChoiceExample]) -> tuple[Any, list[Any]]:
        return [e.row for e in examples], [e.gold for e in examples]

    def score(gold: Sequence[int], said: Sequence[Any], split: str) -> tuple[Score, ...]:
        return (accuracy(said, gold, split),)

    known: dict[str, Any] = {"majority": Majority(), "overlap": Overlap()}
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)


def accuracy(scores: Sequence[Any], gold: Sequence[int | None], split: str) -> Score:
    """The share of questions whose highest score is at the right place; of equal scores the first counts."""
    right = sum(int(np.argmax(one)) == place for one, place in zip(scores, gold, strict=True))
    return Score("accuracy", right / max(len(scores), 1), "0..1", "higher", split)
