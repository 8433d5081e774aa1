"""What can be looked into while a series is classified: the probability of its label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of

if TYPE_CHECKING:
    from recurra.tasks.series_classification.task import SeriesClassification
    from recurra.tasks.series_task import AnyExample

# Labels that are shown.
MOST_LABELS = 10


def explained(
    task: SeriesClassification, model: torch.nn.Module, example: AnyExample, device: torch.device
) -> ExplanationTarget:
    """The probability of the label that was said; of many labels, of the most probable one."""
    output = answer_of(task, model, example, device)
    chances = dict(output.probabilities)
    label = max(chances, key=lambda name: chances[name])
    place = list(task.labels).index(label)

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        return task.kind.probabilities(prediction.outputs["logits"].double())[:, place].sum()

    steps = tuple(str(t) for t in range(1, example.length + 1))
    ranked = sorted(chances.items(), key=lambda pair: -pair[1])[:MOST_LABELS]
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        steps,
        entry_of(model),
        {"encoder": steps},
        copies_of(task, replace(example, gold=None), device),
        score,
        f"the probability of '{label}'",
        tables=(Table("Labels", ("label", "probability"), tuple((name, f"{p:.1%}") for name, p in ranked)),),
        unit="step",
        features=task.feature_names(),
    )
