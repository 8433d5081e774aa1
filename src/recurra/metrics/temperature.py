"""Temperature scaling: one number by which all scores are divided, so that confidence is how often answers are right.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.
It changes no answer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# 1 / temperature is sought between these: beyond, probabilities are those of a coin, or 0 and 1.
LOWEST, HIGHEST = 1e-3, 10.0
# Halvings of the interval: 10 / 2^60 is under the rounding of float64.
HALVINGS = 60


def softmax_temperature(scores: Floats, gold: NDArray[np.int64]) -> float:
    """The T > 0 that minimises the mean of -log softmax(scores / T)[gold].

    scores: (N, C), finite, any constant added to a row      gold: (N,) places of the right labels
    A T under 1 makes a model surer of itself. There one row's worth of the targets, 1 / (N + 1) of each, is spread over
    all labels, as Platt 1999 does, and T is 1 at most: else a few rows that are all right would call for certainty.
    """
    N, C = scores.shape
    plain = np.zeros((N, C))
    plain[np.arange(N), gold] = 1.0
    return _best(plain, (plain * N + 1 / C) / (N + 1), scores, _softmax)


def sigmoid_temperature(scores: Floats, gold: Floats) -> float:
    """The T > 0 that minimises the mean binary cross-entropy of sigmoid(scores / T).

    scores: (N, C), finite      gold: (N, C) of 0 and 1; a T under 1 is sought as in `softmax_temperature`
    """
    N = len(scores)
    return _best(gold, (gold * N + 0.5) / (N + 1), scores, _sigmoid)


def _best(plain: Floats, smooth: Floats, scores: Floats, shares: Callable[[Floats], Floats]) -> float:
    def slope(targets: Floats) -> Callable[[float], float]:
        return lambda beta: float(((shares(beta * scores) - targets) * scores).sum() / max(len(scores), 1))

    found = _temperature(slope(plain))
    return found if found >= 1 else min(1.0, _temperature(slope(smooth)))


def _temperature(slope: Callable[[float], float]) -> float:
    """1 / beta where the slope of the loss, which is convex in beta and so rises with it, is 0; by bisection."""
    low, high = LOWEST, HIGHEST
    if not np.isfinite(slope(1.0)) or slope(low) == slope(high):  # no rows, or scores that are all alike
        return 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 2 / (low + high)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def _sigmoid(scores: Floats) -> Floats:
    half: Floats = 0.5 * (1 + np.tanh(0.5 * scores))
    return half
