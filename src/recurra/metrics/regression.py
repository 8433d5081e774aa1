"""How good numbers of a row are: MAE, RMSE, R2 by target and their means; of boxes, how much they share with the truth.

MAE, RMSE    in the units of the data
R2           1 - sum (y - f)^2 / sum (y - mean y)^2; of a target that never changes 1 where all is right, else 0
IoU          area that two boxes share over the area that either covers, 0..1 (Everingham et al. 2010, section 4.2)
mAP          average precision, as COCO has it (`metrics.detection`), of one class and one box a row
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score
from recurra.metrics.detection import Boxes, mean_average_precision
from recurra.metrics.overlaps import overlaps

Floats = NDArray[np.float64]
# Of these four numbers a box consists, in this order: its upper left corner, and its size.
BOX = ("x", "y", "width", "height")
# From where on a box counts as found (Everingham et al. 2010).
FOUND = 0.5
# Scores that boxes alone have.
OF_BOXES = ("iou", "iou_50", "map", "map_50")
FORMULAS = {
    "iou": "area shared by the true and the predicted box over the area of both; mean of rows",
    "iou_50": "share of rows whose IoU is at least 0.5",
    "map": "mean of the average precision at IoU 0.5, 0.55, ..., 0.95, as COCO has it; the surest box first",
    "map_50": "average precision where a box is right from an IoU of 0.5 on",
    "mae": "mean |y - f|",
    "rmse": "root of mean (y - f)^2",
    "r2": "1 - sum (y - f)^2 / sum (y - mean y)^2: 0 for the mean of these rows, 1 at best",
}


def absolute_errors(truth: Floats, said: Floats) -> Floats:
    """(D,) mean |y - f| of each target; truth, said: (N, D), N >= 1."""
    found: Floats = np.abs(truth - said).mean(0)
    return found


def squared_errors(truth: Floats, said: Floats) -> Floats:
    """(D,) root of the mean (y - f)^2 of each target."""
    found: Floats = np.sqrt(((truth - said) ** 2).mean(0))
    return found


def determination(truth: Floats, said: Floats) -> Floats:
    """(D,) R2 of each target."""
    # The mean of equal numbers is rounded, so that their squares around it need not sum to 0.
    changes = truth.max(0) > truth.min(0)
    left, all_of_it = ((truth - said) ** 2).sum(0), np.where(changes, ((truth - truth.mean(0)) ** 2).sum(0), 0.0)
    same = np.where(left == 0, 1.0, 0.0)
    found: Floats = np.where(all_of_it > 0, 1 - left / np.where(all_of_it > 0, all_of_it, 1.0), same)
    return found


def regression_scores(
    truth: Floats, said: Floats, names: Sequence[str], *, split: str, boxes: bool = False
) -> tuple[Score, ...]:
    """All scores: of boxes first, then means over targets, then each target's where there are several.

    truth: (N, D) in the units of the data      names: of the D targets
    said: (N, D), or (N, 2 D) with the deviation of each behind them
    """
    said, deviations = said[:, : len(names)], said[:, len(names) :]
    found = list(_of_boxes(truth, said, deviations, split)) if boxes else []
    kinds = (("mae", absolute_errors), ("rmse", squared_errors), ("r2", determination))
    values = {word: kind(truth, said) for word, kind in kinds}
    for word, by_target in values.items():
        found.append(_score(word, float(by_target.mean()), split))
    for k, name in enumerate(names if len(names) > 1 else ()):
        found += [_score(word, float(by_target[k]), split, f"[{name}]") for word, by_target in values.items()]
    return tuple(found)


def _of_boxes(truth: Floats, said: Floats, deviations: Floats, split: str) -> Iterator[Score]:
    """A box is the surer the smaller its deviations are beside its sides; without any all are equally sure."""
    each, rows = overlaps(truth, said), np.arange(len(truth))
    side = np.sqrt(np.maximum(said[:, 2:].prod(1), 0.0))
    sure = side / deviations.mean(1) if deviations.size else np.zeros(len(said))
    precision = mean_average_precision(Boxes(truth, rows, 0 * rows, 0.0 * sure), Boxes(said, rows, 0 * rows, sure))
    values = (each.mean(), (each >= FOUND).mean(), precision.mean(), precision[0])
    for word, value in zip(OF_BOXES, values, strict=True):
        yield Score(word, float(value), "0..1", "higher", split)


def _score(word: str, value: float, split: str, target: str = "") -> Score:
    return Score(word + target, value, "", "higher" if word == "r2" else "lower", split)
