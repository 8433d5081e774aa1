"""What a model must beat: the mean of training; and a line through one number of the words, how many two texts share,
or how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.tasks.overlap import Weights, words_of
from recurra.tasks.text_regression.rows import ScoredExample, ScoredRow

if TYPE_CHECKING:
    from recurra.tasks.text_regression.task import TextRegression


class Mean:
    """The mean number of training."""

    def fit(self, rows: Sequence[ScoredRow], gold: Sequence[float]) -> None:
        self.mean = float(np.mean(gold))

    def predict(self, rows: Sequence[ScoredRow]) -> list[float]:
        return [self.mean] * len(rows)


class Words:
    """A line by least squares through the share of words, by weight, that two texts have in common (Jaccard), or
    through the logarithm of the number of words of one."""

    def fit(self, rows: Sequence[ScoredRow], gold: Sequence[float]) -> None:
        self.weights = Weights([row.text for row in rows])
        known = np.array([self._number(row) for row in rows])
        self.line = np.linalg.lstsq(np.stack([known, np.ones(len(known))], 1), np.array(gold), rcond=None)[0]

    def predict(self, rows: Sequence[ScoredRow]) -> list[float]:
        return [float(self.line[0] * self._number(row) + self.line[1]) for row in rows]

    def _number(self, row: ScoredRow) -> float:
        if row.second is None:
            return float(np.log1p(len(words_of(row.first))))
        one, other = set(words_of(row.first)), set(words_of(row.second))
        shared, either = (sum(map(self.weights.of, words)) for words in (one & other, one | other))
        return shared / either if either else 0.0


def compared(
    task: TextRegression, train: Sequence[ScoredExample], splits: Mapping[str, Sequence[ScoredExample]]
) -> Compared:
    """The scores of both on every split."""

    def pairs(examples: Sequence[ScoredExample]) -> tuple[Any, list[Any]]:
        return [e.row for e in examples], [e.gold for e in examples]

    def score(gold: Sequence[float], said: Sequence[float], split: str) -> tuple[Score, ...]:
        return task.scores_of(gold, said, split)

    known: dict[str, Any] = {"mean": Mean(), "words": Words()}
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)
