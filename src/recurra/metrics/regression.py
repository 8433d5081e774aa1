"""How good numbers of a row are: MAE, RMSE, R2 by target and their means; of boxes, how much they share with the truth.

MAE, RMSE    in the units of the data
R2           1 - sum (y - f)^2 / sum (y - mean y)^2; of a target that never changes 1 where all is right, else 0
IoU          area that two boxes share over the area that either covers, 0..1 (Everingham et al. 2010, section 4.2)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

Floats = NDArray[np.float64]
# Of these four numbers a box consists, in this order: its upper left corner, and its size.
BOX = ("x", "y", "width", "height")
# From where on a box counts as found (Everingham et al. 2010).
FOUND = 0.5
FORMULAS = {
    "iou": "area shared by the true and the predicted box over the area of both; mean of rows",
    "iou_50": "share of rows whose IoU is at least 0.5",
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
    left, all_of_it = ((truth - said) ** 2).sum(0), ((truth - truth.mean(0)) ** 2).sum(0)
    same = np.where(left == 0, 1.0, 0.0)
    found: Floats = np.where(all_of_it > 0, 1 - left / np.where(all_of_it > 0, all_of_it, 1.0), same)
    return found


def overlaps(truth: Floats, said: Floats) -> Floats:
    """(N,) IoU of boxes (N, 4) as x, y, width, height, sizes from 0 on; 0 where neither box has an area."""
    low = np.maximum(truth[:, :2], said[:, :2])
    high = np.minimum(truth[:, :2] + truth[:, 2:], said[:, :2] + said[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    either = truth[:, 2:].prod(1) + said[:, 2:].prod(1) - shared
    found: Floats = np.where(either > 0, shared / np.where(either > 0, either, 1.0), 0.0)
    return found


def regression_scores(
    truth: Floats, said: Floats, names: Sequence[str], *, split: str, boxes: bool = False
) -> tuple[Score, ...]:
    """All scores: of boxes first, then means over targets, then each target's where there are several.

    truth, said: (N, D) in the units of the data      names: of the D targets
    """
    found: list[Score] = []
    if boxes:
        each = overlaps(truth, said)
        found.append(Score("iou", float(each.mean()), "0..1", "higher", split))
        found.append(Score("iou_50", float((each >= FOUND).mean()), "0..1", "higher", split))
    kinds = (("mae", absolute_errors), ("rmse", squared_errors), ("r2", determination))
    values = {word: kind(truth, said) for word, kind in kinds}
    for word, by_target in values.items():
        found.append(_score(word, float(by_target.mean()), split))
    for k, name in enumerate(names if len(names) > 1 else ()):
        found += [_score(word, float(by_target[k]), split, f"[{name}]") for word, by_target in values.items()]
    return tuple(found)


def _score(word: str, value: float, split: str, target: str = "") -> Score:
    return Score(word + target, value, "", "higher" if word == "r2" else "lower", split)
