"""How good forecasts are: the scores of the field, each with its formula, and the forecasts that cost nothing.

MAE, RMSE    in the units of the data
sMAPE        mean of 200 |y - f| / (|y| + |f|), 0 to 200 as in the M4 competition; 0 where both are 0
MASE         a forecast's MAE over the mean |y_t - y_(t-m)| of its series before it (Hyndman & Koehler 2006); the mean
scaled_mse   of targets minus the mean over the deviation of their series in training, as tables of ETT have it
wql          sum of 2 pinball over sum of |y|, mean of levels; crps: the mean of 2 pinball over levels (a sum for CRPS)
ade, fde     distance of two positions, mean of all steps, and of the last one; min_ade, min_fde: of the best path drawn
coverage     share of targets in the interval of the outermost levels      winkler: its mean interval score, which the
             true quantiles of these two levels make least, also where they are not as far from 0.5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

Floats = NDArray[np.float64]
# What each score is, for reports: names alone mean different things in different libraries.
FORMULAS = {
    "mase": "mean |y - f| of a forecast over the mean |y[t] - y[t-m]| of its series before it; mean of forecasts",
    "mae": "mean |y - f|",
    "rmse": "root of mean (y - f)^2",
    "smape": "mean of 200 |y - f| / (|y| + |f|): 0 to 200, as in the M4 competition",
    "scaled_mse": "mean of ((y - f) / deviation of the series in training)^2",
    "scaled_mae": "mean of |y - f| / deviation of the series in training",
    "relative_mase": "mase over that of the seasonal naive forecast",
    "wql": "2 pinball loss over |y|, both summed over all targets; mean of the levels",
    "crps": "2 pinball loss, mean of targets and levels",
    "coverage": "share of targets in the interval between the outermost levels",
    "ade": "distance of forecast and true position, mean of steps and forecasts",
    "fde": "the same at the last step",
    "min_ade": "ade of the path, of those drawn, that is nearest in ade; no figure to set beside ade",
    "min_fde": "fde of the path, of those drawn, that ends nearest",
    "winkler": "width of that interval, and for each unit that a target is below it 1 / lower level, above it "
    "1 / (1 - upper level)",
}


@dataclass(frozen=True, slots=True)
class Truth:
    """values: (N, h, D), NaN where unknown      naive, deviation: (N, D) of the series before      season: m of MASE"""

    values: Floats
    naive: Floats
    deviation: Floats
    season: int


def absolute_errors(truth: Floats, said: Floats) -> Floats:
    """|y - f|, NaN where nothing is known."""
    found: Floats = np.abs(truth - said)
    return found


def smape(truth: Floats, said: Floats) -> float:
    """0..200; where both are 0, 0."""
    size = np.abs(truth) + np.abs(said)
    terms = 200 * np.abs(truth - said) / np.where(size == 0, 1.0, size)
    return _mean(terms)


def mase_by_window(truth: Truth, said: Floats) -> Floats:
    """(N, D), NaN where the series never changed over a season, or nothing is known."""
    naive = np.where(truth.naive > 0, truth.naive, np.nan)
    return _means(absolute_errors(truth.values, said), 1) / naive


def pinball(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> Floats:
    """(N, h, D, Q): max(q (y - f), (q - 1) (y - f))."""
    error = truth[..., None] - quantiles
    q = np.asarray(levels)
    found: Floats = np.maximum(q * error, (q - 1) * error)
    return found


def winkler(truth: Floats, low: Floats, high: Floats, levels: tuple[float, float]) -> Floats:
    """The width of an interval from one level to another, and a price for each unit that the truth is outside.

    Below the interval 1 / lower level, above it 1 / (1 - upper level), so that the true quantiles of these levels score
    best; 2 / alpha of an interval of 1 - alpha around 0.5 (Winkler 1972; Gneiting & Raftery 2007, section 6.2).
    """
    below, above = np.maximum(low - truth, 0), np.maximum(truth - high, 0)
    found: Floats = high - low + below / levels[0] + above / (1 - levels[1])
    return found


def forecast_scores(
    truth: Truth,
    said: Floats,
    quantiles: Floats | None,
    levels: Sequence[float],
    *,
    split: str,
    reference: Floats | None,
) -> tuple[Score, ...]:
    """All scores. said: (N, h, D); quantiles: (N, h, D, Q) or None; reference: the seasonal naive forecast, (N, h, D)

    A score of which no window tells anything is NaN.
    """
    error = absolute_errors(truth.values, said)
    mase = _mean(mase_by_window(truth, said))
    scaled = error / truth.deviation[:, None]
    found = [
        ("mase", mase, "", "lower"),
        ("mae", _mean(error), "", "lower"),
        ("rmse", float(np.sqrt(_mean(error**2))), "", "lower"),
        ("smape", smape(truth.values, said), "of 200", "lower"),
        ("scaled_mse", _mean(scaled**2), "", "lower"),
        ("scaled_mae", _mean(scaled), "", "lower"),
    ]
    if reference is not None:
        beside = _mean(mase_by_window(truth, reference))
        found.append(("relative_mase", mase / beside if beside else np.nan, "", "lower"))
    if quantiles is not None:
        found += _interval_scores(truth.values, quantiles, levels)
    return tuple(Score(name, value, unit, better, split) for name, value, unit, better in found)  # type: ignore[arg-type]


def path_scores(truth: Floats, said: Floats, paths: Floats | None, *, split: str) -> tuple[Score, ...]:
    """ade and fde of positions (N, h, D); and of the best of the paths (N, K, h, D), where there are some.

    Source: Pellegrini et al. 2009 (errors of paths); Gupta et al. 2018, arXiv:1803.10892 (the best of K).
    """
    error = np.sqrt(((truth - said) ** 2).sum(2))
    found = [("ade", _mean(error)), ("fde", _mean(error[:, -1]))]
    if paths is not None:
        each = np.sqrt(((truth[:, None] - paths) ** 2).sum(3))  # (N, K, h)
        found += [("min_ade", _mean(_means(each, 2).min(1))), ("min_fde", _mean(each[..., -1].min(1)))]
    return tuple(Score(name, value, "", "lower", split) for name, value in found)


def _interval_scores(truth: Floats, quantiles: Floats, levels: Sequence[float]) -> list[tuple[str, float, str, str]]:
    costs = pinball(truth, quantiles, levels)
    size = float(np.nansum(np.abs(truth)))
    wql = 2 * float(np.nansum(costs)) / len(levels) / size if size else np.nan
    low, high = quantiles[..., 0], quantiles[..., -1]
    inside = np.where(np.isnan(truth), np.nan, (truth >= low) & (truth <= high))
    found = [("wql", wql, "", "lower"), ("crps", 2 * _mean(costs), "", "lower")]
    if len(levels) > 1:
        found += [
            ("coverage", _mean(inside), "0..1", "neither"),
            ("winkler", _mean(winkler(truth, low, high, (levels[0], levels[-1]))), "", "lower"),
        ]
    return found


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


def _means(values: Floats, axis: int) -> Floats:
    """Means along an axis of what is no NaN; NaN where all is."""
    there = ~np.isnan(values)
    count = there.sum(axis)
    found: Floats = np.where(count > 0, np.where(there, values, 0.0).sum(axis) / np.maximum(count, 1), np.nan)
    return found
