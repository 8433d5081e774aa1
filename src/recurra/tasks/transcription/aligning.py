"""Where a text is said by the network itself: the most probable way to spread it over the steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def aligned(log_probs: NDArray[np.float64], units: Sequence[int], blank: int = 0) -> tuple[tuple[int, int], ...] | None:
    """(start, end) in steps of each unit, the end left out; None where no path says them.

    log_probs: (T, C) of the units of each step. Of the paths of Graves et al. 2006, eq. 3, the best one (Viterbi).
    """
    states = np.full(2 * len(units) + 1, blank)
    states[1::2] = units
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), -np.inf)
    came = np.zeros((len(log_probs), len(states)), np.int8)
    for t, scores in enumerate(log_probs[:, states]):
        ways = np.full((3, len(states)), -np.inf)
        ways[0] = best
        ways[1, 1:] = best[:-1]
        ways[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        if t == 0:
            ways[:, :] = -np.inf
            ways[0, :2] = 0.0
        came[t] = ways.argmax(0)
        best = ways.max(0) + scores
    if not len(log_probs):
        return None if len(units) else ()
    at = int(np.argmax(best[-2:])) + len(states) - len(best[-2:])
    if not np.isfinite(best[at]):
        return None
    path = np.zeros(len(log_probs), np.int64)
    for t in range(len(log_probs) - 1, -1, -1):
        path[t] = at
        at -= int(came[t, at])
    places = [np.flatnonzero(path == 2 * n + 1) for n in range(len(units))]
    return tuple((int(one[0]), int(one[-1]) + 1) for one in places)
