"""How well boxes are found, as COCO measures it: average precision of each class, and the mean over classes.

precision, recall     of all boxes that are at least as sure as one of them: share that is right, share that is found
average precision     mean, over recalls of 0, 0.01, ..., 1, of the best precision at that recall or above
Source: Lin et al. 2014, arXiv:1405.0312, and the evaluation of its data set: https://cocodataset.org/#detection-eval
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.metrics.overlaps import overlaps

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
# IoU from which on a box is right: the old bar first, and ten whose mean COCO reports.
THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))
RECALLS = np.linspace(0.0, 1.0, 101)
# Boxes of a picture and class that count, the surest ones.
MOST = 100


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes in pictures. boxes: (M, 4) x, y, width, height      pictures, classes: (M,) of each

    sure: (M,) how sure each is, in any unit, NaN as least of all; of true boxes it is not read
    """

    boxes: Floats
    pictures: Integers
    classes: Integers
    sure: Floats

    def of(self, which: NDArray[np.bool_] | Integers | list[int]) -> Boxes:
        """Some of them."""
        return Boxes(self.boxes[which], self.pictures[which], self.classes[which], self.sure[which])


def mean_average_precision(truth: Boxes, said: Boxes, thresholds: Sequence[float] = THRESHOLDS) -> Floats:
    """(len(thresholds),) mean over the classes of the truth; NaN where there is no true box at all.

    Boxes that are equally sure count together, so that the order of pictures does not matter; COCO's own tool takes
    them one by one, as they come.
    """
    each = [
        _average_precision(truth.of(truth.classes == one), said.of(said.classes == one), thresholds)
        for one in np.unique(truth.classes)
    ]
    return np.mean(each, axis=0) if each else np.full(len(thresholds), np.nan)


def _average_precision(truth: Boxes, said: Boxes, thresholds: Sequence[float]) -> Floats:
    """(len(thresholds),) of one class."""
    right, sure = [np.zeros((0, len(thresholds)), bool)], [np.zeros(0)]
    by_picture = _places(truth.pictures)
    for picture, places in _places(said.pictures).items():
        found = said.of(places)
        found = found.of(np.argsort(-found.sure, kind="stable")[:MOST])
        right.append(_right(truth.boxes[by_picture.get(picture, [])], found.boxes, thresholds))
        sure.append(found.sure)
    all_right, all_sure = np.concatenate(right), np.concatenate(sure)
    # By ranks from the least sure on: neither NaN nor infinity has a difference that is 0.
    ranks = np.unique(np.where(np.isnan(all_sure), -np.inf, all_sure), return_inverse=True)[1].astype(np.int64)
    order = np.argsort(-ranks, kind="stable")
    return np.array([_area(column, ranks[order], len(truth.boxes)) for column in all_right[order].T])


def _places(pictures: Integers) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for place, picture in enumerate(pictures.tolist()):
        found.setdefault(picture, []).append(place)
    return found


def _right(truth: Floats, said: Floats, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """(M, thresholds): the surest box first, each takes the true box that it shares most with and nobody has taken."""
    shared = np.stack([overlaps(truth, np.tile(box, (len(truth), 1))) for box in said])
    found = np.zeros((len(said), len(thresholds)), bool)
    for k, least in enumerate(thresholds):
        left = np.ones(len(truth), bool)
        for m, row in enumerate(shared):
            free = np.where(left, row, -1.0)
            best = int(free.argmax()) if len(free) else 0
            if len(free) and free[best] >= least:
                found[m, k], left[best] = True, False
    return found


def _area(right: NDArray[np.bool_], sure: Integers, number: int) -> float:
    """The mean of the best precision at each of 101 recalls, 0 beyond the last that is reached."""
    if not len(right):
        return 0.0
    ends = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)
    hits = np.cumsum(right)[ends]
    precision, recall = hits / (ends + 1), hits / number
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(places < len(best), np.append(best, 0.0)[np.minimum(places, len(best))], 0.0).mean())
