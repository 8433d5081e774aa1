"""What a model of series must beat: a vote, and a random forest on statistics of each series, order aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.metrics import Compared, LabelOutput, compare
from recurra.metrics.baselines import Baseline, Majority, MajoritySets
from recurra.tasks.series_statistics import described

if TYPE_CHECKING:
    from recurra.tasks.series_classification.task import SeriesClassification
    from recurra.tasks.series_task import AnyExample

TREES = 200


class ForestOfStatistics:
    """scikit-learn's random forest on rows of `statistics`; probabilities are votes, with one more for each label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.forest: Any = None

    def fit(self, series: Sequence[Any], gold: Sequence[str]) -> None:
        """Raises ModuleNotFoundError without scikit-learn."""
        from sklearn.ensemble import RandomForestClassifier

        self.forest = RandomForestClassifier(TREES, random_state=0)
        self.forest.fit(np.stack(series), list(gold))

    def predict(self, series: Sequence[Any]) -> list[LabelOutput]:
        """The label with most votes, of each series."""
        found = self.forest.predict_proba(np.stack(series))
        smooth = (found * TREES + 1) / (TREES + found.shape[1])
        names = [str(name) for name in self.forest.classes_]
        absent = dict.fromkeys(self.labels, 0.0)
        rows = [row.tolist() for row in smooth]
        return [LabelOutput(names[row.index(max(row))], absent | dict(zip(names, row, strict=True))) for row in rows]


def compared(
    task: SeriesClassification, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]
) -> Compared:
    """The scores of both on every split; of many labels, of the vote alone."""

    def pairs(examples: Sequence[AnyExample]) -> tuple[list[Any], list[Any]]:
        # Of each at once: the numbers of a sound are made when they are asked for, and need not be kept.
        return [described(e.values, task.reader) for e in examples], [e.gold for e in examples]

    def score(gold: Sequence[Any], outputs: Sequence[Any], split: str) -> Any:
        return task.kind.score(gold, outputs, task.labels, (), split)

    known: dict[str, Baseline[Any, Any]] = {"majority": MajoritySets(task.labels)}
    if task.separator is None:
        known = {"majority": Majority(task.labels), "statistics": ForestOfStatistics(task.labels)}
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)
