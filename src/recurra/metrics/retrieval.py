"""How far in front the right one stands: recall among the first k, and the median rank, either way."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

FIRST = (1, 5, 10)
Bools = NDArray[np.bool_]


def ranks(likeness: NDArray[np.float32], right: Bools) -> NDArray[np.int64]:
    """(Q,) ranks from 1: of each query, where its best right answer stands among (A,) answers.

    likeness: (Q, A)      right: (Q, A), one true in each row at least
    Wrong answers that are as alike stand in front, and so do those that cannot be compared: a model that says the same
    of all, or NaN, has found nothing.
    """
    best = np.where(right, likeness, -np.inf).max(1, keepdims=True)
    return np.asarray(1 + (~(likeness < best) & ~right).sum(1), np.int64)


def retrieval_scores(by_text: Sequence[int], by_picture: Sequence[int], split: str) -> tuple[Score, ...]:
    """mean_recall of all six; text_to_image_r1, r5, r10 and median_rank; image_to_text likewise."""
    each = {"text_to_image": np.asarray(by_text), "image_to_text": np.asarray(by_picture)}
    recalls = [
        Score(f"{name}_r{k}", float((found <= k).mean()), "0..1", "higher", split)
        for name, found in each.items()
        for k in FIRST
    ]
    medians = [
        Score(f"{name}_median_rank", float(median(found.tolist())), "rank", "lower", split)
        for name, found in each.items()
    ]
    mean = sum(score.value for score in recalls) / len(recalls)
    return (Score("mean_recall", mean, "0..1", "higher", split), *recalls, *medians)
