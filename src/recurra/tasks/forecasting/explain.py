"""What can be looked into while a series is forecast: what each step and column adds to the mean of the forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recurra.base.contracts import Batch, Prediction
from recurra.losses.forecasts import point_of
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of
from recurra.tasks.forecasting.tables import picture

if TYPE_CHECKING:
    from recurra.tasks.forecasting.said import Said
    from recurra.tasks.forecasting.task import Forecasting
    from recurra.tasks.forecasting.windows import Window


class OverTime(nn.Module):
    """A model whose inputs go through one layer, `entry`: (T + h, N, F), steps of the past and then those to come.

    Steps to come have only what is known of them: the last G of the F numbers, and zeros before.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.entry = model, nn.Identity()

    def forward(self, batch: Batch) -> Prediction:
        features, future = batch.inputs["features"], batch.inputs["future"]
        beside = features.shape[2] - future.shape[2]
        x = self.entry(torch.cat([features, pad(future, (beside, 0))]))
        inputs = {**batch.inputs, "features": x[: len(features)], "future": x[len(features) :, :, beside:]}
        found: Prediction = self.model(Batch(inputs, batch.lengths, batch.targets, batch.indices))
        return found


def explained(task: Forecasting, model: nn.Module, window: Window, device: torch.device) -> ExplanationTarget:
    """The mean of the forecast over its steps; of several targets the sum of their means, each in scaled units."""
    output: Said = answer_of(task, model, window, device)
    clock = window.store.clocks[window.place]
    past = tuple(map(str, clock.written(window.cut - window.length, window.cut)))
    ahead = tuple(map(str, clock.written(window.cut, window.cut + task.plan.horizon)))
    whole = OverTime(model)
    return ExplanationTarget(
        task.answer(window, output).to_dict(),
        (*past, *ahead),
        whole.entry,
        {"encoder": _read_as(past, getattr(model, "segment", 1)), "head.recurrent": ahead},
        copies_of(task, window, device),
        lambda prediction, batch: _mean(task, prediction, batch),
        _meaning(task),
        unit="step",
        features=task.fitted.features(task.plan),
        charts=(picture(task, output, window, "Forecast"),),
        model=whole,
        name=window.name,
    )


def _read_as(steps: tuple[str, ...], segment: int) -> tuple[str, ...]:
    """Steps as an encoder reads them: in pieces, of which the last one ends with them."""
    first = len(steps) % segment or segment
    starts = [0, *range(first, len(steps), segment)]
    return steps if segment == 1 else tuple(steps[k] for k in starts)


def _mean(task: Forecasting, prediction: Prediction, batch: Batch) -> Tensor:
    """Summed over rows: of one target in the units of the data, of several in scaled ones."""
    said = point_of(task.kind, prediction.outputs["numbers"].double())
    said = said + batch.inputs["base"].transpose(0, 1)
    if len(task.plan.columns.target) == 1:
        said = said * batch.inputs["scale"] + batch.inputs["shift"]
    return said.mean(0).sum()


def _meaning(task: Forecasting) -> str:
    """What is explained, in words."""
    names, h = task.plan.columns.target, task.plan.horizon
    if len(names) == 1:
        return f"the forecast of {names[0]}, the mean of its {h} steps" if h > 1 else f"the forecast of {names[0]}"
    return f"the forecasts of {', '.join(names)}, the means of their {h} steps in scaled units"
