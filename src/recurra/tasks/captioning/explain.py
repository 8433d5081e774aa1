"""What can be looked into while a caption is written: what each word looked at, and what hides the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Batch
from recurra.data.picture_features import PictureFeatures
from recurra.data.pictures import Pixels, png_of
from recurra.report import HeatMap
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of, tree
from recurra.tasks.translation.answers import said_tokens
from recurra.tasks.translation.losses import forced_rows, loss_of

if TYPE_CHECKING:
    from recurra.tasks.captioning.rows import CaptionExample
    from recurra.tasks.captioning.task import Captioning, Described

Floats = NDArray[np.float64]
# Hypotheses that are shown, and squares of a side that are hidden one by one.
HYPOTHESES, HIDDEN = 5, 8
# Pixels of a side of a picture that is drawn, and between two; the least brightness of what nobody looked at.
SIDE, GAP, DIM = 96, 4, 0.15
# From nothing to the most that a word looked at.
SHADES = " .:-=+*#%@"


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
    return (drawn,), tuple(_lines(words, weights.reshape(-1, *grid)))


def _pixels(task: Captioning, example: CaptionExample, grid: tuple[int, int]) -> Pixels:
    """The picture itself; of features, whose picture nobody has, white squares."""
    if isinstance(example.shown, PictureFeatures):
        return np.full((*grid, 3), 255, np.uint8)
    pixels = task.reader.pixels(example.shown)
    return np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels


def overlays(pixels: Pixels, weights: Floats) -> Pixels:
    """A picture, and the same for each word (R, rows, columns), as bright as the word looked at each place."""
    height = SIDE
    width = max(round(SIDE * pixels.shape[1] / pixels.shape[0]), 1)
    whole = _stretched(pixels, height, width).astype(np.float64)
    between = np.full((height, GAP, 3), 255.0)
    parts = [whole]
    for each in weights:
        share = _stretched(each / max(each.max(), 1e-12), height, width)[:, :, None]
        parts += [between, whole * (DIM + (1 - DIM) * share)]
    return np.ascontiguousarray(np.concatenate(parts, 1).round().astype(np.uint8))


def _stretched(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Each of height x width the nearest of values (rows, columns, ...)."""
    down = np.arange(height) * len(values) // height
    right = np.arange(width) * values.shape[1] // width
    return values[down][:, right]


def _lines(words: Sequence[str], weights: Floats) -> Iterator[str]:
    """For each word a grid of signs, the darker the more it looked there; several side by side."""
    yield "What each word looked at, from nothing (blank) to the most (@):"
    columns = max(weights.shape[2], *map(len, words)) + 2
    beside = max(1, 100 // columns)
    for k in range(0, len(words), beside):
        yield "  " + "".join(word.ljust(columns) for word in words[k : k + beside])
        for row in range(weights.shape[1]):
            yield "  " + "".join(_shaded(one[row], one.max()).ljust(columns) for one in weights[k : k + beside])


def _shaded(row: Floats, most: float) -> str:
    return "".join(SHADES[min(int(x / max(most, 1e-12) * len(SHADES)), len(SHADES) - 1)] for x in row)


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
    one = task.collate([known], [0])
    pixels = one.inputs["pixels"][0]
    rows, columns = (np.array_split(np.arange(size), min(HIDDEN, size)) for size in pixels.shape[:2])
    mean = pixels.float().mean((0, 1)).round().to(pixels.dtype)
    several = pixels.repeat(len(rows) * len(columns) + 1, 1, 1, 1)
    for k in range(len(several) - 1):
        r, c = rows[k // len(columns)], columns[k % len(columns)]
        several[k + 1, r[0] : r[-1] + 1, c[0] : c[-1] + 1] = mean
    number = len(several)
    inputs = {name: value.repeat_interleave(number, 1 if value.dim() == 2 else 0) for name, value in one.inputs.items()}
    batch = Batch(
        {**inputs, "pixels": several},
        one.lengths.repeat(number),
        {name: value.repeat_interleave(number, 1) for name, value in one.targets.items()},
        tuple(range(number)),
    ).to(device)
    with torch.inference_mode():
        nats = np.array([row.nats for row in forced_rows(model(batch), batch)])
    lost = (nats[1:] - nats[0]).reshape(len(rows), len(columns))
    most = max(float(np.abs(lost).max()), 1e-9)
    title = f"Nats that the caption loses where a square is hidden, of {most:.2f} at most"
    weights = tuple(map(tuple, (lost / most).tolist()))
    return (HeatMap(title, _named(len(rows)), _named(len(columns)), weights),)


def _named(number: int) -> tuple[str, ...]:
    return tuple(str(k + 1) for k in range(number))


def _hypotheses(
    task: Captioning, model: torch.nn.Module, example: CaptionExample, device: torch.device
) -> tuple[str, ...]:
    wide = task.with_options({"beam": max(task.search.search.beam, HYPOTHESES), "n_best": HYPOTHESES})
    found: Described = answer_of(wide, model, example, device)
    leaves = [(one.tokens, math.exp(one.log_prob)) for one in found.written]
    return ("Hypotheses that the beam kept, with their probabilities:", *tree(leaves))
