"""What can be looked into while a label is given: its probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.tasks.encoder_attention import attention_maps, attention_table, attention_weights
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of

# Labels that are shown.
MOST_LABELS = 10


def label_explained(
    task: Any,
    model: torch.nn.Module,
    example: Any,
    steps: Sequence[str],
    device: torch.device,
    *,
    encoder: str = "encoder",
    **more: Any,
) -> ExplanationTarget:
    """The probability of the label that was said; of many labels, of the most probable one.

    task: a LabelTask      steps: what each step is called      encoder: where in the model stands what reads them
    more: members of the target beside these
    """
    output = answer_of(task, model, example, device)
    chances = dict(output.probabilities)
    label = max(chances, key=lambda name: chances[name])
    place = list(task.labels).index(label)

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        chances: Tensor = task.kind.probabilities(prediction.outputs["logits"].double() / task.temperature)
        return chances[:, place].sum()

    copies = copies_of(task, replace(example, gold=None), device)
    looked = attention_weights(model, copies(1))
    if looked is not None and looked.shape[3] != len(steps):  # of an encoder that joins steps
        looked = None
    ranked = sorted(chances.items(), key=lambda pair: -pair[1])[:MOST_LABELS]
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        tuple(steps),
        entry_of(model.get_submodule(encoder.rpartition(".")[0])),
        {encoder: tuple(steps)},
        copies,
        score,
        f"the probability of '{label}'",
        maps=tuple(attention_maps(looked, steps, slice(None))),
        tables=(
            Table("Labels", ("label", "probability"), tuple((name, f"{p:.1%}") for name, p in ranked)),
            *attention_table(looked),
        ),
        **more,
    )
