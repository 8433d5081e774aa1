"""What a forecast must beat: the last value, the value a season before, the line through both ends; and
statsforecast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.base.contracts import Score
from recurra.metrics import Compared
from recurra.tasks.forecasting.naive import Past, drift, last_value, naive_quantiles, seasonal_naive
from recurra.tasks.forecasting.windows import Floats, Ints, Window, together

if TYPE_CHECKING:
    from recurra.tasks.forecasting.task import Forecasting

NAIVE: Mapping[str, Callable[[Past, Ints, Ints, int], Floats]] = {
    "last value": last_value,
    "seasonal naive": seasonal_naive,
    "drift": drift,
}
# Series and forecasts that statsforecast is asked for: AutoARIMA takes seconds for each.
MOST_ASKED = 50


def compared(task: Forecasting, splits: Mapping[str, Sequence[Window]]) -> Compared:
    """The scores of all of them on every split."""
    found: dict[str, list[Score]] = {name: [] for name in NAIVE}
    levels = task.plan.levels
    for split, examples in splits.items():
        store, series, cuts = together(examples)
        past = Past(store, task.reading.season)
        for name, forecast in NAIVE.items():
            said = forecast(past, series, cuts, task.plan.horizon)
            wanted = task.plan.interval_kind != "none"
            quantiles = naive_quantiles(past, said, series, cuts, levels) if wanted else None
            found[name] += task.scores_of(said, quantiles, examples, split)
    notes: tuple[str, ...] = ()
    for name, scores in _statsforecast(task, splits).items():
        found[name] = scores
    return Compared({name: tuple(scores) for name, scores in found.items()}, notes)


def _statsforecast(task: Forecasting, splits: Mapping[str, Sequence[Window]]) -> dict[str, list[Score]]:
    """AutoETS and AutoARIMA, where statsforecast is installed and there are few enough forecasts; else nothing."""
    if sum(map(len, splits.values())) > MOST_ASKED or len(task.plan.columns.target) > 1:
        return {}
    try:
        from statsforecast.models import AutoARIMA, AutoETS  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return {}
    found: dict[str, list[Score]] = {}
    for model in (AutoETS, AutoARIMA):
        for split, examples in splits.items():
            said = np.stack([_asked(model, task, one) for one in examples])
            found.setdefault(model.__name__, []).extend(task.scores_of(said, None, examples, split))
    return found


def _asked(model: Any, task: Forecasting, window: Window) -> Floats:
    """(h, 1) what a model of statsforecast says from all steps before the cut."""
    first = int(window.store.offsets[window.place])
    values = window.store.values[first : first + window.cut, 0]
    values = values[~np.isnan(values)]
    said = model(season_length=task.reading.season).forecast(y=values, h=task.plan.horizon)["mean"]
    return np.asarray(said, np.float64)[:, None]
