"""What can be looked into while a text is translated: attention, and the hypotheses of the beam as a tree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from recurra.doctor.maps import in_pieces
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of, tree
from recurra.tasks.translation.answers import Translated, said_tokens
from recurra.tasks.translation.losses import loss_of
from recurra.tasks.translation.pairs import TextPair

if TYPE_CHECKING:
    from recurra.tasks.translation.task import Translation

# Hypotheses that are shown.
HYPOTHESES = 5


def explained(task: Translation, model: torch.nn.Module, example: TextPair, device: torch.device) -> ExplanationTarget:
    """The log-probability of the answer."""
    output: Translated = answer_of(task, model, example, device)
    best = output.best
    known = task.answered(example, best.text, best.tokens)
    reverse = bool(getattr(model.encoder, "reverse", False))
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        example.source,
        entry_of(model),
        {"encoder": example.source[::-1] if reverse else example.source, "decoder": ("<bos>", *best.tokens)},
        copies_of(task, known, device),
        lambda prediction, batch: -loss_of(prediction, batch, 0.0).total,
        f"the log-probability of '{best.text}'",
        _attention(task, model, example, known, device),
        lines=_hypotheses(task, model, example, device),
        backwards=reverse,
    )


def _attention(
    task: Translation, model: torch.nn.Module, example: TextPair, known: TextPair, device: torch.device
) -> tuple[HeatMap, ...]:
    """What each token of the answer looked at; nothing of a model without attention. known: with its answer"""
    with torch.no_grad():
        if "attention" not in model(task.collate([known], [0]).to(device)).outputs:
            return ()
    asked = task.with_options({"attention": True, "beam": task.search.beam})
    looked: Translated = answer_of(asked, model, example, device)
    title = "Attention: what each token of the answer looked at"
    return tuple(in_pieces(title, said_tokens(looked.best), example.source, looked.attention or ()))


def _hypotheses(task: Translation, model: torch.nn.Module, example: TextPair, device: torch.device) -> tuple[str, ...]:
    wide = task.with_options({"beam": max(task.search.beam, HYPOTHESES), "n_best": HYPOTHESES})
    found: Translated = answer_of(wide, model, example, device)
    leaves = [(one.tokens, math.exp(one.log_prob)) for one in found.candidates]
    return ("Hypotheses that the beam kept, with their probabilities:", *tree(leaves))
