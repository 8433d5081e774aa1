"""What inspect says of a forecast: by hand for a linear model, and for every head what adds up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.api.folder import OpenRun
from recurra.api.inspecting import inspect
from recurra.api.places import RunFolder
from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.losses.forecasts import KINDS, point_of
from recurra.models import MODELS
from tasks.test_forecasting_task import VARIANTS, H, fitted, model_of, plan, record


class Settings:
    """As much of a run's settings as inspect asks for."""

    def __init__(self, config: Any) -> None:
        self.plan, self.tree = config, {"task": {"name": "forecasting"}}


def opened(config: Any, task: Any, model: torch.nn.Module) -> OpenRun:
    return OpenRun(RunFolder(Path("made")), Settings(config), task, model, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("word", KINDS)
def test_the_point_that_is_explained_is_the_point_that_is_said(word: str) -> None:
    kind = KINDS[word]((0.1, 0.5, 0.9))
    numbers = np.random.default_rng(0).normal(size=(4, kind.size))
    assert point_of(kind, torch.from_numpy(numbers)).numpy() == pytest.approx(kind.point(numbers), abs=1e-15)


def test_each_number_adds_its_weight_times_its_value_in_a_linear_model() -> None:
    config = plan(future=("promo",), horizon=1, loss="mse", intervals="none", lags=(2,), calendar=())
    task, _, _ = fitted(config)
    torch.manual_seed(2)
    model = MODELS["forecaster"](task.model_sizes, encoder="identity", head="recursive").eval()
    row = record("a", T=20, more=1)
    found = inspect(opened(config, task, model), dict(row.fields))
    batch = task.collate([task.example(row, gold=False)], [0])
    weights = model.head.output.weight.detach().double().numpy()[0]
    scale = float(batch.inputs["scale"])
    last, ahead = (batch.inputs[name][-1, 0].double().numpy() for name in ("features", "future"))
    assert found.features == ("y", "promo", "y 2 before")
    assert found.saliency.parts[-2] == pytest.approx(tuple(scale * weights[:3] * last), rel=1e-6)
    assert found.saliency.parts[-1] == pytest.approx((0.0, *(scale * weights[3:] * ahead)), rel=1e-6)
    assert all(part == (0, 0, 0) for part in found.saliency.parts[:-2])
    assert found.text == "a"
    assert found.tokens == tuple(str(k) for k in range(20 - 12, 21))


@pytest.mark.parametrize(
    ("options", "head"),
    [*((VARIANTS[name], "direct") for name in ("beside", "masked", "last", "season", "counts", "student_t", "whole")),
     *(({}, head) for head in ("decoder", "segments", "recursive"))],
)  # fmt: skip
def test_what_steps_add_together_is_the_forecast_less_that_of_nothing(options: dict[str, Any], head: str) -> None:
    config = plan(**options)
    task, _, _ = fitted(config)
    model = model_of(task, head, **({} if head != "segments" else {"segment": 5}))
    row = record("a", T=40, more=H if config.future else 0)
    found = inspect(opened(config, task, model), row)
    assert found.saliency.whole == pytest.approx(math.fsum(found.answer["y"]) / H, rel=1e-5)
    assert abs(found.saliency.gap) <= 0.02 * max(map(abs, found.saliency.steps))  # a ReLU has corners
    assert len(found.features) == task.model_sizes["features"]
    assert len(found.tokens) == 12 + H
    assert all(any(part) for part in found.saliency.parts[-H:])  # steps to come have their calendar and lags
    names = {one.title for one in found.states}
    assert "States h: encoder.recurrent" in names
    assert ("States h: head.recurrent" in names) == (head == "decoder")
    (chart,) = found.charts
    assert [curve.name for curve in chart.curves][:2] == ["truth", "forecast"]


def test_several_targets_are_explained_in_scaled_units() -> None:
    config = plan(target=("y", "rain"))
    task, _, _ = fitted(config)
    row = record("a")
    found = inspect(opened(config, task, model_of(task)), row)
    batch = task.collate([task.example(row, gold=False)], [0])
    shift, scale = (batch.inputs[name].numpy()[0] for name in ("shift", "scale"))
    means = [(np.mean(found.answer[name]) - shift[k]) / scale[k] for k, name in enumerate(("y", "rain"))]
    assert found.saliency.whole == pytest.approx(sum(means), rel=1e-5)
    assert found.meaning == "the forecasts of y, rain, the means of their 3 steps in scaled units"


def test_steps_that_are_read_together_have_the_name_of_the_first_and_the_last_piece_is_whole() -> None:
    config = plan(context=11)
    task, _, _ = fitted(config)
    found = inspect(opened(config, task, model_of(task, segment=4)), record("a", T=20))
    assert found.states[0].columns == ("9", "12", "16")


def test_a_series_without_steps_and_one_too_long_are_refused() -> None:
    config = plan(context=5000, lags=())
    task, _, _ = fitted(config)
    run = opened(config, task, model_of(task))
    with pytest.raises(DataError, match=r"one\.json: the series has 1,200 steps, expected at most 1,000\. Cut it\."):
        inspect(run, Record({"id": "a", "time": list(range(1200)), "y": [1.0] * 1200}, Origin("one.json")))
    with pytest.raises(DataError, match="holds no step"):
        inspect(run, Record({"id": "a", "time": [], "y": []}, Origin("one.json")))
