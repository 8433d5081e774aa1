"""What a report shows of forecasts: formulas, errors by step, the worst series, and what residuals still hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from recurra.base.contracts import Table
from recurra.metrics.forecasting import FORMULAS, mase_by_window
from recurra.report import Chart, Curve
from recurra.tasks.forecasting.said import Forecasts, Said
from recurra.tasks.forecasting.windows import Floats, Window

if TYPE_CHECKING:
    from recurra.tasks.forecasting.task import Forecasting

WORST = 10
# Steps of the past that a picture of a forecast shows, in horizons.
SHOWN = 2


def forecast_tables(task: Forecasting, outputs: Sequence[Said], examples: Sequence[Window]) -> tuple[Table, ...]:
    """All of them."""
    truth = task._truth(examples)
    point = Forecasts.of(outputs).point
    names = [s.name for s in task.score(outputs, examples, "test")]
    formulas = tuple((name, FORMULAS[name]) for name in names)
    by_window = _by_window(task, outputs, examples)
    order = np.argsort(-np.nan_to_num(by_window, nan=-1.0), kind="stable")[:WORST]
    worst = tuple(
        (examples[n].shown_name, str(_stamp(examples[n])), f"{by_window[n]:.4g}")
        for n in order
        if np.isfinite(by_window[n])
    )
    errors = np.abs(truth.values - point)
    steps = tuple(
        (k + 1, f"{np.nanmean(errors[:, k]):.4g}") for k in _some_steps(errors.shape[1]) if _known(errors[:, k])
    )
    lags = tuple((lag, f"{r:.3f}") for lag, r in _autocorrelations(truth.values - point, task.reading.season))
    return (
        Table(f"What the scores are (m is {task.reading.season})", ("score", "formula"), formulas),
        Table("Error by step of the forecast", ("step", "MAE"), steps),
        Table("The worst forecasts", ("series", "from", "MASE"), worst),
        Table("Autocorrelation of residuals", ("steps apart", "correlation"), lags),
    )


def forecast_charts(task: Forecasting, outputs: Sequence[Said], examples: Sequence[Window]) -> tuple[Chart, ...]:
    """The worst, the median and the best forecast, and errors by step."""
    by_window = _by_window(task, outputs, examples)
    known = np.flatnonzero(np.isfinite(by_window))
    order = known[np.argsort(-by_window[known], kind="stable")]
    places = {"Worst": 0, "Median": len(order) // 2, "Best": len(order) - 1} if len(order) else {}
    if len(order) == 1:
        places = {"A": 0}
    found = [
        picture(task, outputs[order[p]], examples[order[p]], f"{word} forecast, MASE {by_window[order[p]]:.3g}")
        for word, p in places.items()
    ]
    truth = task._truth(examples)
    errors = np.abs(truth.values - Forecasts.of(outputs).point)
    by_step = tuple(
        (float(k + 1), float(np.nanmean(errors[:, k]))) for k in range(errors.shape[1]) if _known(errors[:, k])
    )
    acf = tuple((float(k), r) for k, r in _autocorrelations(truth.values - Forecasts.of(outputs).point, 0))
    return (
        *found,
        Chart("Error by step of the forecast", "step", "MAE", (Curve("MAE", by_step),)),
        Chart("Autocorrelation of residuals", "steps apart", "correlation", (Curve("residuals", acf),)),
    )


def picture(task: Forecasting, said: Said, window: Window, title: str) -> Chart:
    """A forecast behind the last steps before it, beside what came where that is known."""
    first, h = int(window.store.offsets[window.place]), task.plan.horizon
    begin = max(0, window.cut - SHOWN * h)
    values = window.store.values[first + begin : first + window.cut + h, 0]
    curves = [Curve("truth", _points(values, begin)), Curve("forecast", _points(said.point[:, 0], window.cut))]
    if said.quantiles is not None and len(task.plan.levels) > 1:
        for place in (0, len(task.plan.levels) - 1):
            name = f"level {task.plan.levels[place]:g}"
            curves.append(Curve(name, _points(said.quantiles[:, 0, place], window.cut)))
    return Chart(f"{title}: {window.shown_name} from {_stamp(window)}", "step of the series", "value", tuple(curves))


def _points(values: Floats, begin: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(begin + k), float(v)) for k, v in enumerate(values) if np.isfinite(v))


def _stamp(window: Window) -> str | int:
    return window.store.clocks[window.place].written(window.cut, window.cut + 1)[0]


def _by_window(task: Forecasting, outputs: Sequence[Said], examples: Sequence[Window]) -> Floats:
    """(N,) MASE of each forecast, mean of its targets; NaN where it has none."""
    found = mase_by_window(task._truth(examples), Forecasts.of(outputs).point)
    there = ~np.isnan(found)
    return np.where(there.any(1), np.where(there, found, 0.0).sum(1) / np.maximum(there.sum(1), 1), np.nan)


def _known(errors: Floats) -> bool:
    return bool((~np.isnan(errors)).any())


def _some_steps(horizon: int) -> list[int]:
    """Up to a dozen steps of a forecast, the first and the last among them."""
    return sorted({round(k * (horizon - 1) / 11) for k in range(12)})


def _autocorrelations(residuals: Floats, season: int) -> list[tuple[int, float]]:
    """Correlation of residuals (N, h, D) some steps apart within a forecast, over all forecasts."""
    found = []
    h = residuals.shape[1]
    centred = residuals - np.nanmean(residuals) if _known(residuals) else residuals
    wanted = {*range(1, min(h, 13)), *({season} if 0 < season < h else set())}
    for lag in sorted(wanted):
        a, b = centred[:, :-lag].ravel(), centred[:, lag:].ravel()
        there = ~(np.isnan(a) | np.isnan(b))
        size = np.sqrt((a[there] ** 2).sum() * (b[there] ** 2).sum())
        if size > 0:
            found.append((lag, float((a[there] * b[there]).sum() / size)))
    return found
