"""The matrix profile, by stumpy where it is installed: distances of z-normalised windows, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recurra.metrics.anomalies.detectors import DETECTORS

Floats = NDArray[np.float64]


def profile(series: Floats, clean: list[Floats], window: int, own: bool = False) -> Floats:
    """(N,) mean over columns of the distance of each window to the nearest clean one, both less their mean and by their
    deviation; a constant window has no form, and is at sqrt(W) of one that has, at 0 of another (Yeh et al. 2016)."""

    def formed(values: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        each = np.lib.stride_tricks.sliding_window_view(values, window)
        deviation = each.std(1, keepdims=True)
        flat = deviation[:, 0] < 1e-10
        return (each - each.mean(1, keepdims=True)) / np.where(flat[:, None], 1, deviation), flat

    columns = []
    for d in range(series.shape[1]):
        ours, ours_flat = formed(series[:, d])
        nearest = np.full(len(ours), np.inf)
        for one in clean:
            theirs, theirs_flat = formed(one[:, d])
            away = np.sqrt(((ours[:, None] - theirs[None]) ** 2).sum(2))
            away[ours_flat[:, None] != theirs_flat[None]] = np.sqrt(window)
            if own and one is clean[0]:  # whose first windows are those of the series
                i, j = np.arange(len(theirs))[:, None], np.arange(len(theirs))[None]
                away[: len(theirs)][np.abs(i - j) <= -(-window // 4)] = np.inf
            nearest = np.minimum(nearest, away.min(1))
        columns.append(nearest)
    return np.mean(columns, axis=0)


@pytest.mark.parametrize("flat", [False, True])
def test_scores_are_distances_to_the_nearest_clean_form(flat: bool) -> None:
    pytest.importorskip("stumpy", reason="matrix_profile needs stumpy")
    rng = np.random.default_rng(0)
    clean = [rng.normal(size=(60, 2)).cumsum(0), rng.normal(size=(35, 2)).cumsum(0), rng.normal(size=(5, 2))]
    series = rng.normal(size=(50, 2)).cumsum(0)
    if flat:
        series[20:32, 0] = 1.5
        clean[0][10:25, 1] = -2.0
    detector = DETECTORS["matrix_profile"](clean, 8)
    np.testing.assert_allclose(detector.scores(series), profile(series, clean[:2], 8), atol=1e-6)
    # Clean windows are not their own neighbours, else a threshold from them would be 0.
    for longer in (clean[0], np.concatenate([clean[0], series])):
        found = detector.scores(longer)
        np.testing.assert_allclose(found, profile(longer, clean[:2], 8, own=True), atol=1e-6)
        assert found[: len(clean[0]) - 7].min() > 1e-3
