"""What can be looked into while a text is tagged: for each word its other tags with their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.base.contracts import Table
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.tagging.decoding import Tagged
from recurra.tasks.tagging.sentences import Sentence

if TYPE_CHECKING:
    from recurra.tasks.tagging.task import Tagging

# Tags of a word that are shown, with the names of their columns.
SHOWN = ("tag", "second", "third")


def explained(task: Tagging, model: torch.nn.Module, example: Sentence, device: torch.device) -> ExplanationTarget:
    """The log-probability of the tags."""
    output: Tagged = answer_of(task, model, example, device)
    batch = task.collate([example], [0]).to(device)
    with torch.no_grad():
        chances = task.chances(model(batch), batch)[:, 0]
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        example.tokens,
        entry_of(model),
        {"encoder": example.tokens},
        copies_of(task, task.numbered(example, output.tags), device),
        lambda prediction, batch: -task.loss(prediction, batch).total,
        "the log-probability of the tags",
        tables=(_other_tags(example.tokens, chances, task.tagset.tags),),
    )


def _other_tags(tokens: Sequence[str], chances: Tensor, tags: Sequence[str]) -> Table:
    """chances: (T, L), of each tag"""
    names = SHOWN[: len(tags)]
    rows = []
    for token, row in zip(tokens, chances, strict=False):
        best = row.topk(len(names))
        rows.append(
            (token, *(f"{tags[k]} {p:.1%}" for p, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)))
        )
    return Table("Tags of each word", ("word", *names), tuple(rows))
