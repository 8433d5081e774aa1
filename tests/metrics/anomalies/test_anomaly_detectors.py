"""Windows to points, and detectors without a network."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from oracles import anomalies as oracle
from recurra.base.errors import ConfigError
from recurra.metrics.anomalies.detectors import DETECTORS
from recurra.metrics.anomalies.windows import Windows, last_windows, point_means, smoothed

WORDS = ("pca", "isolation_forest", "gaussian")


def wave(T: int, D: int = 1, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    t = np.arange(T)[:, None]
    return np.asarray(np.sin(2 * np.pi * t / 20 + np.arange(D)) + 0.1 * rng.normal(size=(T, D)))


@pytest.mark.parametrize(("stride", "whole", "lead"), [(1, True, 0), (2, False, 3), (4, False, 0)])
def test_a_point_has_the_mean_of_the_windows_that_hold_it(stride: int, whole: bool, lead: int) -> None:
    rng, how, T = np.random.default_rng(0), Windows(lead, 4, stride, whole), 21
    count = how.count(T)
    windows = rng.normal(size=(count, 4))
    windows[rng.random(windows.shape) < 0.1] = np.nan
    starts = how.starts(0, count)
    parts = [windows[:3], windows[3:]]
    assert point_means(parts, how, T) == pytest.approx(oracle.means_of_windows(windows, starts, T), abs=1e-12)
    assert (T - lead - 1) - starts[-1] < 4, "no point at the end is lost"


def test_a_stride_that_would_leave_steps_out_is_refused() -> None:
    with pytest.raises(ValueError, match="stride"):
        Windows(0, 3, 4, whole=False)


def test_a_causal_score_is_that_of_the_window_that_ends_at_the_point() -> None:
    scores = np.array([5.0, 1.0, 2.0])
    assert last_windows(scores, Windows(0, 3), 5).tolist() == [5, 5, 5, 1, 2]


def test_a_smoothed_score_is_the_mean_of_those_up_to_it() -> None:
    scores = np.arange(6.0)
    assert smoothed(scores, 3).tolist() == [0, 0.5, 1, 2, 3, 4]
    assert smoothed(scores[:2], 3).tolist() == [0, 0.5]


def test_principal_components_measure_deviations_along_each_of_them() -> None:
    clean, values, w = wave(300, 2), wave(60, 2, seed=1), 7
    found = DETECTORS["pca"]([clean], w).scores(values)
    mean, deviation = clean.mean(0), clean.std(0)
    rows = sliding_window_view((clean - mean) / deviation, w, axis=0).reshape(-1, 2 * w)
    center, lam, V = rows.mean(0), *np.linalg.eigh(np.cov(rows.T, bias=True))
    asked = sliding_window_view((values - mean) / deviation, w, axis=0).reshape(-1, 2 * w)
    y = (asked - center) @ V
    assert found == pytest.approx((y**2 / np.maximum(lam, lam[-1] / 1000)).mean(1), rel=1e-9)


def test_a_moving_gaussian_counts_deviations_from_what_was_before() -> None:
    values, w = wave(50), 8
    found = DETECTORS["gaussian"]([wave(100)], w).scores(values)[:, None]
    for k in range(50 - w):
        before = values[k : k + w]
        assert found[k] == pytest.approx(abs(values[k + w] - before.mean()) / before.std(), rel=1e-9)


@pytest.mark.parametrize("word", WORDS)
def test_scores_do_not_depend_on_how_long_the_series_is(word: str) -> None:
    detector = DETECTORS[word]([wave(400)], 20)
    values = wave(2100, seed=1)
    whole = detector.scores(values)
    for T in (21, 2068):
        assert (detector.scores(values[:T]) == whole[: T - 19 if word != "gaussian" else T - 20]).all()


@pytest.mark.parametrize("word", WORDS)
def test_a_jump_scores_above_what_is_usual(word: str) -> None:
    values = wave(400, seed=1)
    values[300:310] += 3
    detector = DETECTORS[word]([wave(400)], 20)
    scores = point_means([detector.scores(values)[:, None]], detector.windows, 400)
    assert 295 <= int(scores.argmax()) < 315


@pytest.mark.parametrize("word", WORDS)
def test_a_column_that_is_constant_in_clean_data_has_finite_scores(word: str) -> None:
    clean = np.concatenate([wave(100), np.ones((100, 1))], 1)
    assert np.isfinite(DETECTORS[word]([clean], 10).scores(clean + 1)).all()


@pytest.mark.parametrize("word", WORDS)
def test_a_series_that_is_shorter_than_a_window_has_no_scores(word: str) -> None:
    detector = DETECTORS[word]([wave(400), wave(5)], 20)
    for T in (0, 1, 19):
        assert detector.scores(wave(400)[:T]).shape == (0,)
    assert last_windows(np.zeros(0), detector.windows, 19).tolist() == [0.0] * 19


def test_a_series_that_is_shorter_than_a_window_has_no_matrix_profile() -> None:
    pytest.importorskip("stumpy", reason="stumpy is not installed; it comes with recurra[anomalies]")
    assert DETECTORS["matrix_profile"]([wave(100), wave(5)], 10).scores(wave(9)).shape == (0,)


def test_a_matrix_profile_asks_for_its_package() -> None:
    try:
        import stumpy  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="matrix_profile needs stumpy"):
            DETECTORS["matrix_profile"]([wave(100)], 10)
    else:
        assert DETECTORS["matrix_profile"]([wave(100)], 10).scores(wave(100)).min() > 0  # never its own neighbour
