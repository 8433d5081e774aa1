"""Scores of forecasts against loops that follow their formulas, and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.metrics.forecasting import FORMULAS, Truth, forecast_scores, pinball, smape, winkler


def values(scores: tuple) -> dict[str, float]:
    return {score.name: score.value for score in scores}


def test_every_score_follows_its_formula_written_out_in_loops() -> None:
    rng = np.random.default_rng(0)
    N, h, D, levels = 4, 5, 2, (0.1, 0.5, 0.9)
    y, f = rng.normal(10, 3, (N, h, D)), rng.normal(10, 3, (N, h, D))
    q = np.sort(rng.normal(10, 3, (N, h, D, 3)), -1)
    naive, deviation = rng.uniform(1, 2, (N, D)), rng.uniform(1, 2, (N, D))
    y[1, 2, 0] = np.nan  # not observed: in no score
    found = values(forecast_scores(Truth(y, naive, deviation, 7), f, q, levels, split="test", reference=None))
    e, s, sm, sc, pin, size, inside, wink = [], [], [], [], [], 0.0, [], []
    mase = []
    for n in range(N):
        for d in range(D):
            window = []
            for k in range(h):
                if np.isnan(y[n, k, d]):
                    continue
                a, b = y[n, k, d], f[n, k, d]
                window.append(abs(a - b))
                e.append(abs(a - b))
                s.append((a - b) ** 2)
                sm.append(200 * abs(a - b) / (abs(a) + abs(b)))
                sc.append(((a - b) / deviation[n, d]) ** 2)
                size += abs(a)
                for i, level in enumerate(levels):
                    error = a - q[n, k, d, i]
                    pin.append(level * error if error > 0 else (level - 1) * error)
                low, high = q[n, k, d, 0], q[n, k, d, 2]
                inside.append(low <= a <= high)
                wink.append(high - low + 10 * max(low - a, 0) + 10 * max(a - high, 0))
            mase.append(np.mean(window) / naive[n, d])
    expected = {
        "mae": np.mean(e), "rmse": np.sqrt(np.mean(s)), "smape": np.mean(sm), "mase": np.mean(mase),
        "scaled_mse": np.mean(sc), "wql": 2 * np.sum(pin) / 3 / size, "crps": 2 * np.mean(pin),
        "coverage": np.mean(inside), "winkler": np.mean(wink),
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert set(found) <= set(FORMULAS)


def test_smape_of_three_for_one_is_100_of_200_and_zero_for_zero_is_0() -> None:
    assert smape(np.array([1.0]), np.array([3.0])) == 100  # 0.5 in utilsforecast, 1 in gluonts, 100 in darts and M4
    assert smape(np.array([0.0, 1.0]), np.array([0.0, 3.0])) == 50


def test_a_series_that_never_changed_is_in_no_mase_and_makes_none_infinite() -> None:
    truth = Truth(np.ones((2, 3, 1)), np.array([[0.0], [2.0]]), np.ones((2, 1)), 1)
    found = values(forecast_scores(truth, np.full((2, 3, 1), 5.0), None, (0.5,), split="test", reference=None))
    assert found["mase"] == 2.0
    assert np.isnan(
        values(forecast_scores(
            Truth(np.ones((1, 3, 1)), np.zeros((1, 1)), np.ones((1, 1)), 1), np.full((1, 3, 1), 5.0), None, (0.5,),
            split="test", reference=None,
        ))["mase"]
    )  # fmt: skip


def test_pinball_and_winkler_by_hand() -> None:
    assert pinball(np.array([10.0]), np.array([[8.0, 12.0]]), (0.1, 0.9)).tolist() == [
        pytest.approx([0.2, 0.2])
    ]  # 0.1 of 2 above, 0.1 of 2 below
    assert winkler(np.array(10.0), np.array(12.0), np.array(13.0), (0.1, 0.9)) == 1 + 2 / 0.2 * 2
    assert winkler(np.array(15.0), np.array(12.0), np.array(13.0), (0.1, 0.75)) == 1 + 2 / 0.25


def test_a_forecast_beside_the_seasonal_naive_one() -> None:
    truth = Truth(np.zeros((1, 2, 1)), np.ones((1, 1)), np.ones((1, 1)), 1)
    found = forecast_scores(truth, np.ones((1, 2, 1)), None, (0.5,), split="test", reference=np.full((1, 2, 1), 4.0))
    assert values(found)["relative_mase"] == 0.25


def test_the_interval_score_is_best_for_the_right_quantiles_of_levels_on_either_side() -> None:
    """Of a uniform number in 0..1 the quantiles are the levels; on a fine grid of it, beside others of as much."""
    y, levels = (np.arange(10_000) + 0.5) / 10_000, (0.5, 0.9)
    truth = Truth(y[:, None, None], np.ones((10_000, 1)), np.ones((10_000, 1)), 1)

    def score(low: float, high: float) -> float:
        said = np.broadcast_to(np.array([low, high]), (10_000, 1, 1, 2))
        return values(forecast_scores(truth, truth.values, said, levels, split="test", reference=None))["winkler"]

    # Width 0.4; below: half of the numbers, 1/4 away, by 1/0.5; above: a tenth, 1/20 away, by 1/0.1.
    assert score(0.5, 0.9) == pytest.approx(0.4 + 0.25 + 0.05, rel=1e-6)
    assert all(score(0.5, 0.9) < score(0.5 + k, 0.9 + k) for k in (-0.2, -0.05, 0.05))
