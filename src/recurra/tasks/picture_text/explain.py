"""What can be looked into while a picture and a text get a label: the words, and the squares of the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from recurra.data.picture_features import PictureFeatures
from recurra.data.pictures import png_of
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget
from recurra.tasks.label_explanation import label_explained
from recurra.tasks.picture_maps import coloured, hidden_squares, overlays, shaded_lines

if TYPE_CHECKING:
    from recurra.tasks.picture_text.rows import PictureTextExample
    from recurra.tasks.picture_text.task import PictureTextClassification


def explained(
    task: PictureTextClassification, model: torch.nn.Module, example: PictureTextExample, device: torch.device
) -> ExplanationTarget:
    """The probability of the label that was said: what the words add to it, and what it loses without each square."""
    target = label_explained(task, model, example, example.encoded.tokens, device, encoder="text.encoder")
    maps, lines = _hidden(task, model, example, device)
    return replace(target, maps=(*maps, *target.maps), lines=lines, name=f"{example.shown.name}: {example.text}")


def _hidden(
    task: PictureTextClassification, model: torch.nn.Module, example: PictureTextExample, device: torch.device
) -> tuple[tuple[HeatMap, ...], tuple[str, ...]]:
    """How much of its probability the label loses where a square has the mean colour; nothing of features."""
    if isinstance(example.shown, PictureFeatures):
        return (), ()
    hidden = hidden_squares(task.collate([replace(example, gold=None)], [0]))
    with torch.inference_mode():
        logits = model(hidden.batch.to(device)).outputs["logits"].double() / task.temperature
        chances = task.kind.probabilities(logits).cpu().numpy()
    label = int(chances[0].argmax())
    lost = hidden.grid(chances[0, label] - chances[1:, label])
    most = max(float(np.abs(lost).max()), 1e-9)
    for_it = np.maximum(lost, 0.0)
    picture = png_of(overlays(coloured(task.reader.pixels(example.shown)), for_it[None]))
    name = task.labels[label]
    title = f"What '{name}' loses of its probability where a square is hidden, of {most:.2g} at most"
    head = f"Squares of the picture that speak for '{name}', from nothing (blank) to the most (@):"
    return (hidden.map(title, lost / most, picture),), (head, *shaded_lines(("picture",), for_it[None]))
