"""What can be looked into while a language model judges a text: how surprising each token is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.doctor.maps import in_pieces
from recurra.nn import softmax_nats
from recurra.tasks.explanation import ExplanationTarget, answer_of, beside_largest, copies_of, entry_of
from recurra.tasks.language_model.documents import Passage

if TYPE_CHECKING:
    from recurra.tasks.language_model.task import LanguageModelling


def explained(
    task: LanguageModelling, model: torch.nn.Module, example: Passage, device: torch.device
) -> ExplanationTarget:
    """The log-probability of the last token."""
    output = answer_of(task, model, example, device)
    targets = (*(t.replace("\n", "⏎") for t in example.tokens), *(["<end>"] if example.ends else []))
    read = ("<start>", *targets[:-1])
    worst, surprise = beside_largest(output.nats)
    rows = tuple(
        (token, f"{math.exp(-nats):.1%}", f"{nats:.2f}") for token, nats in zip(targets, output.nats, strict=True)
    )
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        read,
        entry_of(model),
        {"encoder": read},
        copies_of(task, example, device),
        _last_token,
        f"the log-probability of the last token, '{targets[-1]}'",
        tuple(in_pieces(f"Nats of each token, beside the largest, {worst:.2f}", ["nats"], targets, surprise)),
        (Table("Tokens", ("token", "probability", "nats"), rows),),
    )


def _last_token(prediction: Prediction, batch: Batch) -> Tensor:
    tokens = batch.targets["tokens"]
    steps = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    real = steps == batch.lengths.to(tokens.device) - 1
    return -softmax_nats(prediction.outputs, tokens, real).sum()
