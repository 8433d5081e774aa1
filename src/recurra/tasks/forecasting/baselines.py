"""What a forecast must beat: the last value, the value a season before, the line through both ends; and
statsforecast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from recurra.base.contracts import Score
from recurra.metrics import Compared
from recurra.tasks.forecasting.naive import Past, drift, last_value, naive_quantiles, seasonal_naive
from recurra.tasks.forecasting.paths import constant_velocity, turned_walks
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
    naive = {"constant velocity": constant_velocity, **NAIVE} if task.plan.coordinates else NAIVE
    found: dict[str, list[Score]] = {name: [] for name in naive}
    levels = task.plan.levels
    for split, examples in splits.items():
        store, series, cuts = together(examples)
        past = Past(store, task.reading.season)
        for name, forecast in naive.items():
            said = forecast(past, series, cuts, task.plan.horizon)
            wanted = task.plan.interval_kind != "none"
            quantiles = naive_quantiles(past, said, series, cuts, levels) if wanted else None
            walks = _walks(task, past, series, cuts) if forecast is constant_velocity else None
            found[name] += task.scores_of(said, quantiles, examples, split, walks)
    others, notes = _statsforecast(task, splits)
    return Compared({name: tuple(scores) for name, scores in (found | others).items()}, notes)


def _walks(task: Forecasting, past: Past, series: Ints, cuts: Ints) -> Floats | None:
    """As many paths as the model draws, on a plane."""
    if not task.plan.paths or len(task.plan.columns.target) != 2:
        return None
    return turned_walks(past, series, cuts, task.plan.horizon, task.plan.paths)


def _statsforecast(
    task: Forecasting, splits: Mapping[str, Sequence[Window]]
) -> tuple[dict[str, list[Score]], tuple[str, ...]]:
    """AutoETS and AutoARIMA, where statsforecast is installed and there are few enough forecasts; else nothing.

    A model that refuses a series, or has no number for it, is left out with a sentence: a training that took hours does
    not end with it.
    """
    if sum(map(len, splits.values())) > MOST_ASKED or len(task.plan.columns.target) > 1:
        return {}, ()
    try:
        from statsforecast.models import AutoARIMA, AutoETS  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return {}, ()
    found: dict[str, list[Score]] = {}
    notes = []
    for model in (AutoETS, AutoARIMA):
        try:
            said = {name: np.stack([_asked(model, task, one) for one in some]) for name, some in splits.items()}
        except Exception as error:  # noqa: BLE001  a baseline never ends a run that trained for hours
            notes.append(f"baselines: {model.__name__} of statsforecast is left out: {error}"[:300])
            continue
        scores = (task.scores_of(said[name], None, some, name) for name, some in splits.items())
        found[model.__name__] = list(chain.from_iterable(scores))
    return found, tuple(notes)


def _asked(model: Any, task: Forecasting, window: Window) -> Floats:
    """(h, 1) what a model of statsforecast says from all steps before the cut. Raises ValueError for no number."""
    first = int(window.store.offsets[window.place])
    values = window.store.values[first : first + window.cut, 0]
    values = values[~np.isnan(values)]
    said = model(season_length=task.reading.season).forecast(y=values, h=task.plan.horizon)["mean"]
    numbers = np.asarray(said, np.float64)[:, None]
    if not np.isfinite(numbers).all():
        raise ValueError(f"its forecast of series {window.name} is no finite number")
    return numbers
