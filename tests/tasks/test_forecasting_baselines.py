"""AutoETS and AutoARIMA beside a forecast, where statsforecast is installed, and what happens where they fail."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from recurra.tasks.forecasting import baselines
from tasks.test_forecasting_task import fitted, plan


def statsforecast(monkeypatch: pytest.MonkeyPatch, arima: Any) -> None:
    """A package of that name: its AutoETS says the last value, its AutoARIMA what it is told."""

    class AutoETS:
        def __init__(self, season_length: int) -> None:
            assert season_length == 6

        def forecast(self, y: Any, h: int) -> dict[str, Any]:
            return {"mean": np.repeat(y[-1], h)}

    class AutoARIMA(AutoETS):
        def forecast(self, y: Any, h: int) -> dict[str, Any]:
            return arima(y, h)

    models = ModuleType("statsforecast.models")
    models.AutoETS, models.AutoARIMA = AutoETS, AutoARIMA  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "statsforecast", ModuleType("statsforecast"))
    monkeypatch.setitem(sys.modules, "statsforecast.models", models)


def test_they_see_what_is_before_the_cut_and_are_scored_as_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    statsforecast(monkeypatch, lambda y, h: {"mean": np.repeat(y[-1], h)})
    task, train, splits = fitted(plan(loss="mae"))
    found = task.baselines(train, splits)
    last = {(s.split, s.name): s.value for s in found.scores["last value"]}
    for name in ("AutoETS", "AutoARIMA"):
        for score in found.scores[name]:
            assert score.value == pytest.approx(last[score.split, score.name]), score.name
    assert found.notes == ()


def test_one_that_fails_is_left_out_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(y: Any, h: int) -> dict[str, Any]:
        raise ZeroDivisionError("tiny datasets")

    task, train, splits = fitted(plan())
    statsforecast(monkeypatch, fails)
    found = task.baselines(train, splits)
    assert "AutoETS" in found.scores
    assert "AutoARIMA" not in found.scores
    assert found.notes == ("baselines: AutoARIMA of statsforecast is left out: tiny datasets",)
    statsforecast(monkeypatch, lambda y, h: {"mean": np.full(h, np.nan)})
    assert "its forecast of series a is no finite number" in task.baselines(train, splits).notes[0]


def test_they_are_asked_for_few_forecasts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    statsforecast(monkeypatch, lambda y, h: {"mean": np.repeat(y[-1], h)})
    monkeypatch.setattr(baselines, "MOST_ASKED", 7)
    task, train, splits = fitted(plan())
    assert set(task.baselines(train, splits).scores) == {"last value", "seasonal naive", "drift"}


def test_the_real_ones_forecast_a_line_and_a_season() -> None:
    pytest.importorskip("statsforecast", reason="statsforecast is not installed: pip install statsforecast")
    task, train, splits = fitted(plan(loss="mae"))
    found = task.baselines(train, {"test": splits["test"][:2]})
    naive = {s.name: s.value for s in found.scores["last value"]}
    for name in ("AutoETS", "AutoARIMA"):
        assert {s.name: s.value for s in found.scores[name]}["mae"] < naive["mae"]
