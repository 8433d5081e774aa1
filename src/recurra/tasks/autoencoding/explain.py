"""What can be looked into while a row is said again: errors by number, and how far each number of its code reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.contracts import Batch, Prediction, Table
from recurra.report import HeatMap
from recurra.tasks.autoencoding.coder import RowCoder
from recurra.tasks.explanation import ExplanationTarget, answer_of, copies_of, entry_of
from recurra.tasks.series_task import SeriesExample

if TYPE_CHECKING:
    from recurra.tasks.autoencoding.task import Autoencoding
    from recurra.tasks.series_task import AnyExample

Floats = NDArray[np.float64]
# Numbers of a row in tables, and of a code that are followed; cells of a map in one line; codes that are drawn.
SHOWN, FOLLOWED, LONGEST, DRAWN = 12, 256, 80, 4
# How far a number of the code is moved, up and down; and where it is drawn.
STEP, PLACES = 1.0, (-2.0, -1.0, 0.0, 1.0, 2.0)


def explained(
    task: Autoencoding, model: torch.nn.Module, example: AnyExample, device: torch.device
) -> ExplanationTarget:
    """The mean squared error of the row, of its scaled numbers; and the code, each number moved by itself."""
    assert isinstance(example, SeriesExample)  # an autoencoder reads no sound
    output = answer_of(task, model, example, device)
    coder = RowCoder(task, model, device)
    read, said = task.rows([example])[0].astype(np.float64), output.values.astype(np.float64)
    reach = _Reach.of(coder, output.code, example.length)
    steps = ("row",) if example.length == 1 else tuple(map(str, range(1, example.length + 1)))

    def score(prediction: Prediction, batch: Batch) -> Tensor:
        away = task.likelihood.mean(prediction.outputs["numbers"].double()) - batch.targets["values"].double()
        there = batch.targets["there"].double()
        found: Tensor = ((away**2 * there).sum((0, 2)) / there.sum((0, 2)).clamp(min=1)).sum()
        return found

    return ExplanationTarget(
        task.answer(example, output).to_dict(),
        steps,
        entry_of(model),
        {"encoder": steps},
        copies_of(task, replace(example, gold=None), device),
        score,
        "the mean squared error of the row",
        maps=(*_row_maps(task, read, said), *reach.maps(task)),
        tables=(_errors(task, read, said), reach.table(output.log_variance)),
        unit="step",
        features=task.feature_names(),
        name=str(example.origin),
    )


def _errors(task: Autoencoding, read: Floats, said: Floats) -> Table:
    """The numbers that are said worst, as they are scaled."""
    squared = np.nan_to_num((said - read) ** 2)
    order = np.argsort(-squared, axis=None, kind="stable")[:SHOWN]
    names = task.feature_names()
    rows = []
    for place in order:
        t, d = np.unravel_index(place, squared.shape)
        name = names[d] if len(read) == 1 else f"{names[d]}, step {t + 1}"
        shown = "missing" if np.isnan(read[t, d]) else f"{read[t, d]:.4g}"
        rows.append((name, shown, f"{said[t, d]:.4g}", f"{squared[t, d]:.4g}"))
    return Table(
        "The numbers that are said worst, in scaled units", ("number", "read", "said", "squared error"), tuple(rows)
    )


def _row_maps(task: Autoencoding, read: Floats, said: Floats) -> list[HeatMap]:
    """The row, what is said of it, and the size of the error."""
    low, high = task.statistics.ends
    span = max(high - low, 1e-12)
    error = np.nan_to_num(np.abs(said - read))
    parts = {
        "read": (np.nan_to_num(read) - low) / span,
        "said": (said - low) / span,
        "error": error / max(error.max(), 1e-12),
    }
    cells = {name: _as_picture(task, part) for name, part in parts.items()}
    if next(iter(cells.values())).shape[0] > 1:
        return [_map(f"The row: {name}", one) for name, one in cells.items()]
    whole = np.concatenate(list(cells.values()))
    return [_map("The row", whole, tuple(parts), task.feature_names())]


def _as_picture(task: Autoencoding, values: Floats) -> Floats:
    """(H, W): of a row that is one vector its steps by its numbers, of a series its numbers by its steps."""
    return values.T if len(values) > 1 else values.reshape(task.reader.steps or 1, -1)


def _map(title: str, cells: Floats, lines: tuple[str, ...] = (), columns: tuple[str, ...] = ()) -> HeatMap:
    """With every n-th cell where there are more than can be drawn."""
    down, across = (max(1, -(-size // LONGEST)) for size in cells.shape)
    some = np.clip(cells[::down, ::across], -1, 1)
    names = (
        (lines or tuple("" for _ in cells))[::down],
        (columns[: cells.shape[1]] or tuple("" for _ in cells[0]))[::across],
    )
    weights = tuple(tuple(round(float(x), 3) for x in line) for line in some)
    return HeatMap(title, names[0], names[1], weights)


class _Reach:
    """What a step along each number of a code changes. places: those that were followed, of code (Z,)

    change: (P, T, D), half of what is said a step above less what is said a step below
    """

    def __init__(self, coder: RowCoder, code: NDArray[np.float32], length: int, places: Any, change: Floats) -> None:
        self.coder, self.code, self.length = coder, code, length
        self.places, self.change = places, change
        self.sizes = np.sqrt((change**2).mean((1, 2)))

    @classmethod
    def of(cls, coder: RowCoder, code: NDArray[np.float32], length: int) -> _Reach:
        """Of a long code its largest numbers."""
        places = np.sort(np.argsort(-np.abs(code), kind="stable")[:FOLLOWED])
        moved = np.repeat(code[None], 2 * len(places), 0)
        moved[np.arange(len(places)), places] += np.float32(STEP)
        moved[len(places) + np.arange(len(places)), places] -= np.float32(STEP)
        said = np.stack(coder.values(moved, [length] * len(moved))).astype(np.float64)
        return cls(coder, code, length, places, (said[: len(places)] - said[len(places) :]) / 2)

    def table(self, log_variance: NDArray[np.float32] | None) -> Table:
        """Those that reach furthest first."""
        names = self.coder.task.feature_names()
        rows = []
        for k in np.argsort(-self.sizes, kind="stable")[:SHOWN]:
            place, most = int(self.places[k]), np.unravel_index(np.abs(self.change[k]).argmax(), self.change[k].shape)
            name = names[most[1]] if self.length == 1 else f"{names[most[1]]}, step {most[0] + 1}"
            spread = () if log_variance is None else (f"{np.exp(0.5 * log_variance[place]):.4g}",)
            rows.append((place + 1, f"{self.code[place]:.4g}", *spread, f"{self.sizes[k]:.4g}", name))
        head = ("number", "value", *(() if log_variance is None else ("deviation",)), "reach", "changes most")
        return Table(
            f"The code: reach is the root mean square of what a step of {STEP:g} changes, scaled", head, tuple(rows)
        )

    def maps(self, task: Autoencoding) -> list[HeatMap]:
        """What is said with a number of the code elsewhere: a strip for each of those that reach furthest."""
        low, high = task.statistics.ends
        found = []
        for k in np.argsort(-self.sizes, kind="stable")[:DRAWN]:
            codes = np.repeat(self.code[None], len(PLACES), 0)
            codes[:, self.places[k]] += np.array(PLACES, np.float32)
            said = [
                (row - low) / max(high - low, 1e-12) for row in self.coder.values(codes, [self.length] * len(PLACES))
            ]
            pictures = [_as_picture(task, row.astype(np.float64)) for row in said]
            title = f"Along number {int(self.places[k]) + 1} of the code, from {PLACES[0]:g} to {PLACES[-1]:+g} away"
            if pictures[0].shape[0] == 1:
                lines = tuple(f"{place:+g}" for place in PLACES)
                found.append(_map(title, np.concatenate(pictures), lines, task.feature_names()))
            else:
                gap = np.zeros((len(pictures[0]), 1))
                found.append(_map(title, np.concatenate([part for one in pictures for part in (one, gap)][:-1], 1)))
        return found
