"""What can be looked into while numbers of a series are predicted: each number, or their mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of

if TYPE_CHECKING:
    from recurra.tasks.series_regression.task import SeriesRegression
    from recurra.tasks.series_task import AnyExample


def explained(
    task: SeriesRegression, model: torch.nn.Module, example: AnyExample, device: torch.device
) -> ExplanationTarget:
    """One number in the units of the data; of several their mean, each in deviations."""
    output = answer_of(task, model, example, device)
    steps = tuple(str(t) for t in range(1, example.length + 1))
    alone = len(task.names) == 1
    shift, scale = (float(task.scaler.shift[0]), float(task.scaler.scale[0])) if alone else (0.0, 1.0)

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        return (task.points(prediction.outputs["numbers"].double()).mean(1) * scale + shift).sum()

    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        steps,
        entry_of(model),
        {"encoder": steps},
        copies_of(task, replace(example, gold=None), device),
        score,
        f"the prediction of {task.names[0]}" if alone else f"the mean of {', '.join(task.names)} in deviations",
        unit="step",
        features=task.feature_names(),
    )
