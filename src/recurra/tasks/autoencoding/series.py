"""Rows of several steps: what stands beside an autoencoder of them, and curves of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.metrics.baselines import Baseline
from recurra.report import Chart, Curve
from recurra.tasks.autoencoding.baselines import Components, Copy, Mean, Neighbour

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding, Rebuilt
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
# Rows that are drawn, and numbers of a step of each.
SHOWN, FEATURES = 4, 2


class BySteps:
    """A baseline of vectors for which each step is a row (D,)."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """Of rows (T, D) all steps."""
        self.known.fit(np.concatenate(read), np.concatenate(gold))

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """(T, D) of each row."""
        return [np.stack(self.known.predict(row)) for row in read]


class Flat:
    """A baseline of vectors for which all steps of a row are one; every row has as many."""

    def __init__(self, known: Any) -> None:
        self.known = known

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """Of rows (T, D)."""
        self.known.fit([row.ravel() for row in read], [row.ravel() for row in gold])

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """(T, D) of each row."""
        said = self.known.predict([row.ravel() for row in read])
        return [one.reshape(row.shape) for one, row in zip(said, read, strict=True)]


class ByColumns:
    """A baseline of vectors for which what one number of a step is over time is a row."""

    def __init__(self, known: Any) -> None:
        self.known = known
        self.mean: Floats = np.zeros(0)

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """The mean, for a number that is there at no step."""
        self.mean = np.nanmean(np.concatenate(gold), 0)

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """(T, D) of each row."""
        return [np.stack([self._column(row[:, d], d) for d in range(row.shape[1])], 1) for row in read]

    def _column(self, column: Floats, d: int) -> Floats:
        if np.isnan(column).all():
            return np.full(len(column), self.mean[d])
        found: Floats = self.known.predict([column])[0]
        return found


def series_compared(
    task: Autoencoding, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]
) -> Compared:
    """The scores of all on every split. Principal components are of rows of one length."""

    def pairs(examples: Sequence[AnyExample]) -> tuple[list[Any], list[Any]]:
        return _double(task.read_rows(examples)), _double(task.rows(examples))

    def score(gold: Sequence[Any], outputs: Sequence[Any], split: str) -> tuple[Score, ...]:
        found = task.score(task.of_arrays(gold, outputs), [], split)
        return tuple(one for one in found if one.value == one.value)

    known: dict[str, Baseline[Any, Any]] = {"mean": BySteps(Mean())}
    if len({e.length for examples in (train, *splits.values()) for e in examples}) == 1:
        known[f"pca_{task.plan.code_size}"] = Flat(Components(task.plan.code_size))
    if task.noise is not None:
        known["copy"] = BySteps(Copy())
    if task.noise is not None or task.reader.missing == "mask":
        known["neighbour"] = ByColumns(Neighbour())
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)


def curves(task: Autoencoding, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]) -> tuple[Chart, ...]:
    """Some rows, and what is said of them, as they are scaled."""
    every = max(1, len(examples) // SHOWN)
    some = [(examples[n], outputs[n]) for n in range(0, len(examples), every)][:SHOWN]
    names = task.feature_names()[:FEATURES]
    return tuple(
        Chart(
            f"{example.origin}: read, and said",
            "step",
            "scaled",
            tuple(
                Curve(f"{name}, {word}", tuple((float(t), float(y)) for t, y in enumerate(values[:, d], 1)))
                for d, name in enumerate(names)
                for word, values in (("read", task.rows([example])[0]), ("said", output.values))
            ),
        )
        for example, output in some
    )


def stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(T, N, D) of rows (T, D) or (D,) each, zero where padded."""
    each = [np.atleast_2d(row) for row in rows]
    found = np.zeros((max(map(len, each)), len(each), each[0].shape[1]), each[0].dtype)
    for n, row in enumerate(each):
        found[: len(row), n] = row
    return found


def _double(rows: Sequence[Any]) -> list[Floats]:
    return [row.astype(np.float64) for row in rows]
