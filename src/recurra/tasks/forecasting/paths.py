"""Positions in time: paths that a model or a naive forecast draws, and the walk straight on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.forecasting.naive import Past
from recurra.tasks.forecasting.windows import Floats, Ints, turned

# Draws are the same for every window, so that none depends on those beside it.
SEED = 20
# Deviation of the angle, in degrees, by which the walk straight on is turned (Schoeller et al. 2020, arXiv:1903.07933).
DEGREES = 25.0


def drawn_paths(quantiles: Callable[[Sequence[float]], Floats], number: int, targets: int) -> Floats:
    """(N, K, h, D) paths, each at one level of every step: who walks faster than expected does so all the way.

    quantiles: levels to (N, h, D, Q)
    """
    levels = _uniform(number, targets)
    each = [quantiles(levels[:, d].tolist())[:, :, d] for d in range(targets)]  # (N, h, Q)
    return np.stack(each, -1).transpose(0, 2, 1, 3)


def _uniform(number: int, targets: int) -> NDArray[np.float64]:
    """(K, D) levels between 0 and 1, neither of them."""
    raw = np.random.Philox(SEED).random_raw(number * targets) >> np.uint64(11)
    return ((raw.astype(np.float64) + 0.5) / 2**53).reshape(number, targets)


def constant_velocity(past: Past, series: Ints, cuts: Ints, horizon: int) -> Floats:
    """(N, h, D) on from the last position by the last step; 0 is the step where only one is known."""
    velocity, last = _last_step(past, series, cuts)
    return np.asarray(last[:, None] + velocity[:, None] * np.arange(1, horizon + 1)[None, :, None], np.float64)


def turned_walks(past: Past, series: Ints, cuts: Ints, horizon: int, number: int) -> Floats:
    """(N, K, h, 2) the walk straight on, turned by random angles, the first by none."""
    velocity, last = _last_step(past, series, cuts)
    angles = np.random.Generator(np.random.Philox(SEED)).normal(0.0, np.radians(DEGREES), number)
    angles[0] = 0.0
    turns = np.stack([turned(velocity[:, None], np.full(len(velocity), a))[:, 0] for a in angles], 1)
    steps = np.arange(1, horizon + 1)[:, None]
    return np.asarray(last[:, None, None] + turns[:, :, None] * steps, np.float64)


def _last_step(past: Past, series: Ints, cuts: Ints) -> tuple[Floats, Floats]:
    last, place = past.last(series, cuts)
    before, place_before = past.last(series, np.maximum(place.min(1), 0))
    apart = place - place_before
    known = (place_before >= 0) & (apart > 0)
    return np.where(known, (last - before) / np.where(known, apart, 1), 0.0), last
