"""Series that are watched: what came, beside forecasts that begin at one step after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.tasks.contract import WatchedSeries
from recurra.tasks.forecasting.beside import known_levels
from recurra.tasks.forecasting.series import Series, read_series
from recurra.tasks.forecasting.windows import Floats, Ints, Store, gathered

if TYPE_CHECKING:
    from recurra.tasks.forecasting.task import Forecasting


def watched_series(task: Forecasting, record: Record, label: str | None) -> WatchedSeries:
    """A record as a series. label: a column of 0 and 1 beside

    Raises DataError for what cannot be used; ConfigError where a scale would be of the whole series, of one that
    training did not have: then scores would depend on how long it is.
    """
    plan = task.plan
    # A column beside is read as one of the past is, and so has its steps.
    columns = plan.columns if label is None else replace(plan.columns, past=(*plan.columns.past, label))
    series = read_series(record, columns, frequency=task.fitted.frequency, zone=plan.time_zone, missing=plan.missing)
    labels = None
    if label is not None:
        labels = _labels(series, label)
        series = replace(series, past=series.past[:-1])
    if plan.scaling_over == "series" and known_levels(task.fitted.levels, series, plan.horizon) is None:
        raise ConfigError(
            f"{series.origin}: series {series.name} was not in training, and task.scaling_over: series has no scale "
            "for it; train with scaling_over: window to watch other series."
        )
    task.refuse_unknown_future(series)
    store = task.window_ahead(series).store
    T, clock = series.length, series.clock
    return WatchedSeries(
        series.name,
        series.origin,
        series.values,
        columns.target,
        clock.moments(0, T),
        clock.form.kind != "number",
        clock.written(0, T),
        labels,
        store,
    )


def _labels(series: Series, name: str) -> NDArray[np.bool_]:
    found = series.past[-1]
    wrong = ~np.isnan(found) & (found != 0) & (found != 1)
    if wrong.any():
        step = int(np.flatnonzero(wrong)[0])
        stamp = series.clock.written(step, step + 1)[0]
        raise DataError(
            f"{series.origin}: series {series.name}, {stamp}: column '{name}' holds {found[step]:g}, expected 0 or 1."
        )
    return np.asarray(found == 1)


def forecast_errors(
    task: Forecasting, model: torch.nn.Module, series: WatchedSeries, starts: Ints, device: torch.device
) -> Floats:
    """(N, h, D) |what came - forecast| in the units of the data; NaN where nothing came, and behind the end."""
    store: Store = series.content
    found = gathered(store, np.zeros(len(starts), np.int64), starts, task.reading)
    batch = task.batch_of(found, tuple(range(len(starts))), gold=False)
    numbers = model(batch.to(device)).outputs["numbers"].double().cpu().numpy().swapaxes(0, 1)
    point = (task.kind.point(numbers) + found.base) * found.scale[:, None] + found.shift[:, None]
    return np.asarray(np.abs(found.truth - point))
