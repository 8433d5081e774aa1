"""Two classifiers to one: how much of each, so that rows that neither learned from are answered best.

The parts are first brought to one scale, each by its own temperature; the share is the mean over all shares, each as
likely as these rows are under it. So a few rows move it little from one half, and many rows decide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARES = np.linspace(0, 1, 21)


@dataclass(frozen=True, slots=True)
class Mix:
    """first, second: what the scores of each are multiplied by      spread: the first's part of their variance, 0..1"""

    first: float
    second: float
    spread: float


def mix(
    first: Floats,
    second: Floats,
    *,
    temperature: Callable[[Floats], float],
    nats: Callable[[Floats], float],
    share: float | None = None,
) -> Mix:
    """first, second: scores (N, C)      temperature: that fits scores      nats: the sum of the losses of scores

    share: of the first, both at their own temperature; None: the one that fits these rows
    """
    scales = 1 / temperature(first), 1 / temperature(second)
    if share is None:
        mixed = [one * scales[0] * first + (1 - one) * scales[1] * second for one in SHARES]
        found = np.array([nats(scores) for scores in mixed])
        likely = np.exp(found.min() - found)
        share = float((likely * SHARES).sum() / likely.sum())
    a, b = share * scales[0], (1 - share) * scales[1]
    return Mix(a, b, _spread(a * first, b * second))


def _spread(first: Floats, second: Floats) -> float:
    ours, whole = (scores - scores.mean(0) for scores in (_centred(first), _centred(first + second)))
    variance = float((whole * whole).sum())
    return min(max(float((ours * whole).sum()) / variance, 0.0), 1.0) if variance else 0.5


def _centred(scores: Floats) -> Floats:
    """Of several labels a constant for a row says nothing."""
    return scores - scores.mean(1, keepdims=True) if scores.shape[1] > 1 else scores
