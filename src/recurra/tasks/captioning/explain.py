"""What can be looked into while a caption is written: what each word looked at, and what hides the answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.data.picture_features import PictureFeatures
from recurra.data.pictures import Pixels, png_of
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of, tree
from recurra.tasks.picture_maps import coloured, hidden_squares, overlays, shaded_lines
from recurra.tasks.translation.answers import said_tokens
from recurra.tasks.translation.losses import forced_rows, loss_of

if TYPE_CHECKING:
    from recurra.tasks.captioning.rows import CaptionExample
    from recurra.tasks.captioning.task import Captioning, Described

Floats = NDArray[np.float64]
# Hypotheses that are shown.
HYPOTHESES = 5
LOOKED = "What each word looked at, from nothing (blank) to the most (@):"


def explained(
    task: Captioning, model: torch.nn.Module, example: CaptionExample, device: torch.device
) -> ExplanationTarget:
    """The log-probability of the caption."""
    output: Described = answer_of(task, model, example, device)
    best = output.best
    known = task.answered(example, best.tokens)
    maps, lines = _looked(task, model, example, device)
    steps = _steps(known)
    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        steps,
        entry_of(model),
        {"encoder": steps, "decoder": ("<bos>", *best.tokens)},
        copies_of(task, known, device),
        lambda prediction, batch: -loss_of(prediction, batch, 0.0).total,
        f"the log-probability of '{best.text}'",
        (*maps, *_hidden(task, model, known, device)),
        lines=(*lines, *_hypotheses(task, model, example, device)),
        unit="place",
        name=example.picture or str(example.origin),
    )


def attention_maps(
    task: Captioning, model: torch.nn.Module, example: CaptionExample, device: torch.device
) -> tuple[HeatMap, ...]:
    """What each word of the caption looked at, over the picture; nothing of a model without attention."""
    return _looked(task, model, example, device)[0]


def _looked(
    task: Captioning, model: torch.nn.Module, example: CaptionExample, device: torch.device
) -> tuple[tuple[HeatMap, ...], tuple[str, ...]]:
    """The same with lines for a terminal."""
    with torch.no_grad():
        if "attention" not in model(task.collate([task.answered(example, ())], [0]).to(device)).outputs:
            return (), ()
    asked = task.with_options({"attention": True, "beam": task.search.search.beam})
    output: Described = answer_of(asked, model, example, device)
    weights = np.array(output.attention or (), np.float64)
    if not weights.size:
        return (), ()
    grid, words = task.reader.grid(example.shown, weights.shape[1]), said_tokens(output.best)
    places = tuple(f"{r + 1},{c + 1}" for r in range(grid[0]) for c in range(grid[1]))
    where = example.picture or str(example.origin)
    title = f"{output.best.text} ← {where}; then what each looked at: {', '.join(words)}"
    pixels = _pixels(task, example, grid)
    picture = png_of(overlays(pixels, weights.reshape(-1, *grid)))
    drawn = HeatMap(title, words, places, tuple(map(tuple, weights.tolist())), image=picture)
    return (drawn,), (LOOKED, *shaded_lines(words, weights.reshape(-1, *grid)))


def _pixels(task: Captioning, example: CaptionExample, grid: tuple[int, int]) -> Pixels:
    """The picture itself; of features, whose picture nobody has, white squares."""
    if isinstance(example.shown, PictureFeatures):
        return np.full((*grid, 3), 255, np.uint8)
    return coloured(task.reader.pixels(example.shown))


def _steps(example: CaptionExample) -> tuple[str, ...]:
    """What the encoder reads: the picture at once, or place by place."""
    if isinstance(example.shown, PictureFeatures):
        rows, columns = example.shown.grid
        return tuple(f"{r + 1},{c + 1}" for r in range(rows) for c in range(columns))
    return ("picture",)


def _hidden(
    task: Captioning, model: torch.nn.Module, known: CaptionExample, device: torch.device
) -> tuple[HeatMap, ...]:
    """How many nats the caption loses when a square of the picture has the mean colour; nothing of features."""
    if isinstance(known.shown, PictureFeatures):
        return ()
    hidden = hidden_squares(task.collate([known], [0]))
    batch = hidden.batch.to(device)
    with torch.inference_mode():
        nats = np.array([row.nats for row in forced_rows(model(batch), batch)])
    lost = hidden.grid(nats[1:] - nats[0])
    most = max(float(np.abs(lost).max()), 1e-9)
    return (hidden.map(f"Nats that the caption loses where a square is hidden, of {most:.2f} at most", lost / most),)


def _hypotheses(
    task: Captioning, model: torch.nn.Module, example: CaptionExample, device: torch.device
) -> tuple[str, ...]:
    wide = task.with_options({"beam": max(task.search.search.beam, HYPOTHESES), "n_best": HYPOTHESES})
    found: Described = answer_of(wide, model, example, device)
    leaves = [(one.tokens, math.exp(one.log_prob)) for one in found.written]
    return ("Hypotheses that the beam kept, with their probabilities:", *tree(leaves))
