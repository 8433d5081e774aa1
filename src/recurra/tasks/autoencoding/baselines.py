"""What an autoencoder must beat: the mean, as many principal components as its code has numbers, and copies.

mean        of the training rows
pca         the mean, and what the rows have of the first Z principal components (Baldi & Hornik 1989: what a linear
            autoencoder with squared errors can reach at best)
copy        what the model reads, noise and all, where there is noise
neighbour   the same, with each hidden number taken from the nearest one before or behind that is there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics import Compared, compare
from recurra.metrics.baselines import Baseline

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]
# Rows whose products are added up at once: of 784 numbers 13 MB.
ROWS = 2048


class Mean:
    """The mean of each number."""

    def __init__(self) -> None:
        self.mean: Floats = np.zeros(0)

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """What was read is not looked at."""
        self.mean = np.nanmean(np.stack(gold), 0)

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """The same for every row."""
        return [self.mean] * len(read)


class Components:
    """The first Z principal components, by the eigenvectors of the covariance; what is hidden counts as the mean."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.mean: Floats = np.zeros(0)
        self.axes: Floats = np.zeros((0, 0))

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """From rows without noise."""
        rows = np.stack(gold)
        self.mean = np.nanmean(rows, 0)
        products = np.zeros((len(self.mean), len(self.mean)))
        for start in range(0, len(rows), ROWS):
            some = np.nan_to_num(rows[start : start + ROWS] - self.mean)
            products += some.T @ some
        self.axes = np.linalg.eigh(products)[1][:, ::-1][:, : self.number]

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """(D,) of each row."""
        codes = np.nan_to_num(np.stack(read) - self.mean) @ self.axes
        return list(self.mean + codes @ self.axes.T)


class Copy:
    """What was read."""

    def __init__(self) -> None:
        self.mean: Floats = np.zeros(0)

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """There is nothing to learn but what stands for a number that is hidden."""
        self.mean = np.nanmean(np.stack(gold), 0)

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """The row, with the mean where a number is hidden."""
        return [np.where(np.isnan(row), self.mean, row) for row in read]


class Neighbour:
    """What was read, and the nearest number where one is hidden; of two as near the one before."""

    def __init__(self) -> None:
        self.mean: Floats = np.zeros(0)

    def fit(self, read: Sequence[Any], gold: Sequence[Any]) -> None:
        """The mean, for rows without any number."""
        self.mean = np.nanmean(np.stack(gold), 0)

    def predict(self, read: Sequence[Any]) -> list[Floats]:
        """(D,) of each row."""
        return [self._filled(row) for row in read]

    def _filled(self, row: Floats) -> Floats:
        there = np.flatnonzero(~np.isnan(row))
        if not len(there):
            return self.mean
        places = np.arange(len(row))
        behind = np.searchsorted(there, places).clip(0, len(there) - 1)
        before = (behind - 1).clip(0)
        nearer = np.abs(there[before] - places) <= np.abs(there[behind] - places)
        found: Floats = row[np.where(nearer, there[before], there[behind])]
        return found


def compared(task: Autoencoding, train: Sequence[AnyExample], splits: Mapping[str, Sequence[AnyExample]]) -> Compared:
    """The scores of all on every split."""

    def pairs(examples: Sequence[AnyExample]) -> tuple[list[Any], list[Any]]:
        return list(task.read_matrix(examples).astype(np.float64)), list(task.matrix(examples).astype(np.float64))

    def score(gold: Sequence[Any], outputs: Sequence[Any], split: str) -> tuple[Score, ...]:
        found = task.score(task.of_arrays(gold, outputs), [], split)
        return tuple(one for one in found if one.value == one.value)

    known: dict[str, Baseline[Any, Any]] = {
        "mean": Mean(),
        f"pca_{task.plan.code_size}": Components(task.plan.code_size),
    }
    if task.noise is not None:
        known["copy"] = Copy()
    if task.noise is not None or task.reader.missing == "mask":
        known["neighbour"] = Neighbour()
    return compare(known, train=pairs(train), splits={k: pairs(v) for k, v in splits.items()}, score=score)
