"""What a report shows of an autoencoder: formulas, the worst rows, and some rows beside what is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Table
from recurra.data.draws import normals
from recurra.metrics.reconstruction import FORMULAS
from recurra.models.encoders import Pictures
from recurra.report import HeatMap
from recurra.tasks.autoencoding.detail import scale_table, scales_of

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding, Rebuilt
    from recurra.tasks.series_task import AnyExample

WORST = 20
# Rows that are drawn, and numbers of a row that a picture can show in one line.
SHOWN, LONGEST = 6, 80
# Rows that are drawn from N(0, 1), and what they are drawn from.
DRAWN, SAMPLED = 4, 30


def reconstruction_tables(
    task: Autoencoding, outputs: Sequence[Rebuilt], examples: Sequence[AnyExample]
) -> tuple[Table, ...]:
    """The formulas of the scores, and the rows with the largest errors."""
    words = [score.name for score in task.score(outputs, examples, "test")]
    formulas = Table("What the scores are", ("score", "formula"), tuple((word, FORMULAS[word]) for word in words))
    errors = np.array([one.squared / max(one.count, 1) for one in outputs])
    order = np.argsort(-errors, kind="stable")[:WORST]
    rows = tuple((f"{errors[n]:.4g}", str(examples[n].origin)) for n in order)
    detail = scale_table(*scales_of(task, outputs, examples))
    return formulas, units_table(outputs), *detail, Table("The worst rows", ("mean squared error", "place"), rows)


def units_table(outputs: Sequence[Rebuilt]) -> Table:
    """Which of a code's numbers are used: one that is the same in all rows is dead, and says nothing of any."""
    codes = np.stack([one.code for one in outputs]).astype(np.float64)
    dead = int((np.ptp(codes, 0) == 0).sum())
    rows: tuple[tuple[str | int | float, ...], ...] = (
        ("numbers of a code", codes.shape[1]),
        ("of these dead: the same in every row", dead),
        ("share that is dead", f"{dead / codes.shape[1]:.1%}"),
        ("numbers that are not 0, mean of rows", f"{(codes != 0).sum(1).mean():.4g}"),
    )
    return Table("The code", ("", "on these rows"), rows)


def side_by_side(
    task: Autoencoding, model: torch.nn.Module, examples: Sequence[AnyExample], device: torch.device
) -> tuple[HeatMap, ...]:
    """Some rows, each above what is said of it; rows of several steps as pictures, the two side by side."""
    some = list(examples[:: max(1, len(examples) // SHOWN)][:SHOWN])
    if not some:
        return ()
    batch = task.collate(some, range(len(some))).to(device)
    model.eval()
    with torch.inference_mode():
        outputs = task.predict(model, batch, some)
    read = task.read_matrix(some)
    height = task.reader.steps or 1
    both = [(_shape(read[n], height), _shape(one.values, height)) for n, one in enumerate(outputs)]
    colours = colours_of(model)
    drawn = _samples(task, model, device, height, colours) if task.plan.variational else ()
    if height == 1:
        return (*_lines(task, both), *drawn)
    return (*(_picture(task, some[n], *pair, colours) for n, pair in enumerate(both)), *drawn)


def colours_of(model: Any) -> int:
    """Numbers of a pixel: 3 of pictures in colour, if the encoder knows of them."""
    return model.encoder.shape[2] if isinstance(model.encoder, Pictures) else 1


def _samples(task: Autoencoding, model: Any, device: torch.device, height: int, colours: int) -> tuple[HeatMap, ...]:
    """What codes of N(0, 1) say, always the same ones: rows that nobody has seen."""
    size = task.plan.code_size
    noise = np.stack([normals(n, size, SAMPLED) for n in range(DRAWN)]).astype(np.float32)
    with torch.inference_mode():
        lengths = torch.ones(DRAWN, dtype=torch.int64, device=device)
        said = task.likelihood.mean(model.decode(torch.from_numpy(noise).to(device), lengths))[0]
    each = [_grey(task, _shape(row, height)) for row in said.cpu().numpy()]
    if height == 1:
        cells = np.concatenate(each)[:, :LONGEST]
        names = tuple(task.feature_names()[: cells.shape[1]])
        return (HeatMap("Rows that were drawn", tuple(map(str, range(1, DRAWN + 1))), names, _weights(cells)),)
    pictures = [cells.reshape(height, -1, colours) for cells in each]
    step = max(1, math.ceil(max(pictures[0].shape[:2]) / LONGEST))
    return tuple(_map(f"Drawn row {n}", cells[::step, ::step]) for n, cells in enumerate(pictures, start=1))


def _shape(values: NDArray[np.float32], height: int) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64)).reshape(height, -1)


def _picture(
    task: Autoencoding, example: AnyExample, read: NDArray[np.float64], said: NDArray[np.float64], colours: int
) -> HeatMap:
    """As large as can be drawn: of a larger row some steps and numbers, or pixels, are left out."""
    both = [_grey(task, values).reshape(len(values), -1, colours) for values in (read, said)]
    step = max(1, math.ceil(max(len(read), 2 * both[0].shape[1] + 1) / LONGEST))
    one, other = (cells[::step, ::step] for cells in both)
    gap = np.full((len(one), 1, colours), float(colours > 1))  # white among colours
    return _map(f"{example.origin}: read, and said", np.concatenate([one, gap, other], 1))


def _map(title: str, cells: NDArray[np.float64]) -> HeatMap:
    """Of (height, width, colours), each 0..1."""
    lines, columns = (tuple("" for _ in range(n)) for n in cells.shape[:2])
    inks: tuple[tuple[str, ...], ...] = ()
    if cells.shape[2] == 3:
        inks = tuple(tuple(f"#{bytes(pixel).hex()}" for pixel in row) for row in np.round(cells * 255).astype(np.uint8))
    return HeatMap(title, lines, columns, _weights(cells.mean(2)), inks)


def _lines(task: Autoencoding, both: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[HeatMap, ...]:
    rows = np.concatenate([np.concatenate(pair) for pair in both])[:, :LONGEST]
    names = [f"{word} {n}" for n in range(1, len(both) + 1) for word in ("read", "said")]
    columns = task.feature_names()[: rows.shape[1]]
    return (HeatMap("Rows, and what is said of them", tuple(names), tuple(columns), _weights(_grey(task, rows))),)


def _grey(task: Autoencoding, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1 from the least to the largest number of the training rows."""
    low, high = task.statistics.ends
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def _weights(cells: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(float(value), 3) for value in row) for row in cells)
