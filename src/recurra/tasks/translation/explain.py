"""What can be looked into while a text is translated: attention, and the hypotheses of the beam as a tree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recurra.doctor.heads import head_table
from recurra.doctor.maps import in_pieces
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of, tree
from recurra.tasks.translation.answers import END, Translated, said_tokens
from recurra.tasks.translation.losses import loss_of
from recurra.tasks.translation.pairs import TextPair, wanted

if TYPE_CHECKING:
    from recurra.tasks.translation.task import Translation

# Hypotheses that are shown.
HYPOTHESES = 5
# Heads of all layers that are shown one by one, at most.
HEADS = 32


def explained(task: Translation, model: torch.nn.Module, example: TextPair, device: torch.device) -> ExplanationTarget:
    """The log-probability of the answer."""
    output: Translated = answer_of(task, model, example, device)
    best = output.best
    known = task.answered(example, best.text, best.tokens)
    reverse = bool(getattr(model.encoder, "reverse", False))
    heads = _by_head(task, model, known, device)
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        example.source,
        entry_of(model),
        {"encoder": example.source[::-1] if reverse else example.source, "decoder": ("<bos>", *best.tokens)},
        copies_of(task, known, device),
        lambda prediction, batch: -loss_of(prediction, batch, 0.0).total,
        f"the log-probability of '{best.text}'",
        (*_attention(task, model, example, known, device), *_heads(heads, example, known)),
        () if heads is None else head_table(heads),
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


def _by_head(task: Translation, model: torch.nn.Module, known: TextPair, device: torch.device) -> Tensor | None:
    """(layers, heads, S, T): what each head of the decoder looked at in the source; None of one without heads."""
    by_head = getattr(model, "attention_by_head", None)
    with torch.no_grad():
        found = None if by_head is None else by_head(task.collate([known], [0]).to(device))
    return None if found is None else found[:, :, :, 0]


def _heads(weights: Tensor | None, example: TextPair, known: TextPair) -> Iterator[HeatMap]:
    """A map for each head, where there are no more than anybody looks at."""
    if weights is None or weights.shape[0] * weights.shape[1] > HEADS:
        return
    said = (*wanted(known).encoded.tokens, END)
    for layer, heads in enumerate(weights.tolist(), start=1):
        for head, each in enumerate(heads, start=1):
            yield from in_pieces(f"Attention of layer {layer}, head {head}", said, example.source, each)


def _hypotheses(task: Translation, model: torch.nn.Module, example: TextPair, device: torch.device) -> tuple[str, ...]:
    wide = task.with_options({"beam": max(task.search.beam, HYPOTHESES), "n_best": HYPOTHESES})
    found: Translated = answer_of(wide, model, example, device)
    leaves = [(one.tokens, math.exp(one.log_prob)) for one in found.candidates]
    return ("Hypotheses that the beam kept, with their probabilities:", *tree(leaves))
