"""What a model must beat: the mean and the median of training, and two regressions on statistics of each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.metrics.baselines import Baseline
from recurra.tasks.series_statistics import described

if TYPE_CHECKING:
    from recurra.tasks.series_regression.task import SeriesRegression
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
TREES = 100
# Strengths of the ridge's penalty, of which leave-one-out on the training rows chooses.
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)


class Constant:
    """The mean or the median of each target in training."""

    def __init__(self, how: Any) -> None:
        self.how = how
        self.answer: Floats = np.zeros(0)

    def fit(self, series: Sequence[Any], gold: Sequence[Any]) -> None:
        """What was read is not looked at."""
        self.answer = self.how(np.array(gold), axis=0)

    def predict(self, series: Sequence[Any]) -> list[Floats]:
        """The same for every row."""
        return [self.answer] * len(series)


class OfStatistics:
    """A regression of scikit-learn on rows of `described`. Raises ModuleNotFoundError without scikit-learn."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.model: Any = None

    def fit(self, series: Sequence[Any], gold: Sequence[Any]) -> None:
        """forest: a third of the numbers at each split, as Breiman 2001 has it for regression"""
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        forest = RandomForestRegressor(TREES, max_features=1 / 3, random_state=0)
        self.model = forest if self.kind == "forest" else make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
        targets = np.array(gold)
        self.model.fit(np.stack(series), targets if targets.shape[1] > 1 else targets[:, 0])

    def predict(self, series: Sequence[Any]) -> list[Floats]:
        """(D,) of each series."""
        return list(self.model.predict(np.stack(series)).reshape(len(series), -1))


def compared(
    task: SeriesRegression, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]
) -> Compared:
    """The scores of all on every split."""

    def pairs(examples: Sequence[AnyExample]) -> tuple[list[Any], list[Any]]:
        # Of each at once: the numbers of a sound are made when they are asked for, and need not be kept.
        return [described(e.values, task.reader) for e in examples], [e.gold for e in examples]

    def score(gold: Sequence[Any], outputs: Sequence[Any], split: str) -> tuple[Score, ...]:
        return task.scores_of(np.array(gold), task.shaped(np.stack(outputs)), split)

    known: dict[str, Baseline[Any, Any]] = {
        "mean": Constant(np.mean),
        "median": Constant(np.median),
        "ridge": OfStatistics("ridge"),
        "forest": OfStatistics("forest"),
    }
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)
