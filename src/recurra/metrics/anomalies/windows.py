"""From errors of windows to one score for each point.

Windows begin at lead, lead + stride, ...; each judges `span` steps. A point's score is the mean over the windows that
hold it. Sums go from the first window on, in chunks that begin there too, so a point's score has the same bits however
long the series is, once all windows that hold it are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """lead: steps before the first that is judged      span: those that a window judges      whole: no end cuts one

    Raises ValueError for a stride that would leave steps out.
    """

    lead: int
    span: int
    stride: int = 1
    whole: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= (1 if self.whole else self.span):
            raise ValueError(f"stride: expected 1 to {1 if self.whole else self.span}, got {self.stride}.")

    def count(self, length: int) -> int:
        """Windows in a series of so many steps; 0 where it is too short for one."""
        last = length - self.lead - (self.span if self.whole else 1)
        return last // self.stride + 1 if last >= 0 else 0

    def starts(self, first: int, stop: int) -> NDArray[np.int64]:
        """The first steps that these windows judge."""
        return self.lead + self.stride * np.arange(first, stop, dtype=np.int64)


def point_means(parts: Iterable[Floats], how: Windows, length: int) -> Floats:
    """(T,) the mean of what windows say of each point; 0 where no window does. parts: (N, span), or (N, 1), in order

    NaN is what a window cannot tell.
    """
    total, count, first = np.zeros(length), np.zeros(length), 0
    for part in parts:
        there = ~np.isnan(part)
        known = np.where(there, part, 0.0)
        for k in range(how.span):
            column = min(k, part.shape[1] - 1)
            at = slice(how.lead + first * how.stride + k, None, how.stride)
            size = min(len(part), len(total[at]))
            total[at][:size] += known[:size, column]
            count[at][:size] += there[:size, column]
        first += len(part)
    found: Floats = total / np.maximum(count, 1)
    return found


def last_windows(scores: Floats, how: Windows, length: int) -> Floats:
    """(T,) for each point the score (N,) of the window that ends there; before the first end, that of the first.

    0 where there is no window.
    """
    if not len(scores):
        return np.zeros(length)
    return np.asarray(scores[np.maximum(np.arange(length) - how.lead - how.span + 1, 0)])


def smoothed(scores: Floats, steps: int) -> Floats:
    """(T,) the mean of a score and those before it, `steps` of them or as many as there are."""
    if steps == 1 or not len(scores):
        return scores
    head = np.cumsum(scores[: steps - 1]) / np.arange(1, min(steps, len(scores) + 1))
    if len(scores) < steps:
        return np.asarray(head[: len(scores)])
    return np.asarray(np.r_[head, sliding_window_view(scores, steps).mean(1)])
