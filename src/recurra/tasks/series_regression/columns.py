"""Which columns of a file hold the numbers that a series should have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.fields import numbers_of
from recurra.metrics.regression import BOX
from recurra.tasks.columns import named
from recurra.tasks.contract import Suggestion
from recurra.tasks.series_columns import Answer, all_numbers, num_steps, quoted, suggested

# Names that people give to these columns; the first that is there wins.
TARGET_NAMES = ("target", "targets", "y", "label", "value", "output", "score", "price", "age", "quality")
LIST_NAMES = ("target", "targets", "y", "label", "labels")
BOX_NAMES = ("box", "bbox", "bounding_box")
CORNERS = (BOX, ("x", "y", "w", "h"), ("left", "top", "width", "height"), ("left", "top", "w", "h"))


def regression_suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    known = _box(rows) or _list(rows)

    def found(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
        return known or _target(rows, file, names)

    apart = known.columns if known else ()
    made = suggested(rows, file, found, wanted="a number to predict", vectors=True, apart=apart)
    return _of_pictures(rows, made) if made.task.get("boxes") else made


def _box(rows: Sequence[Record]) -> Answer | None:
    """Columns that are a box by their names; None where there are none, or nothing is left to read."""
    names = list(rows[0].fields)
    for corners in CORNERS:
        columns = tuple(name for word in corners if (name := named((word,), names)) is not None)
        if len(columns) == len(corners) and all(all_numbers(rows, name) for name in columns):
            return _boxes(columns) if len(names) > len(columns) else None
    one = named(BOX_NAMES, names)
    return _boxes((one,)) if one is not None and num_steps(rows[0], one) == len(BOX) else None


def _boxes(columns: tuple[str, ...]) -> Answer:
    target = columns[0] if len(columns) == 1 else list(columns)
    return Answer(columns, {"target": target, "boxes": True}, (f"target: {quoted(columns)}, a box by its name.",))


def _list(rows: Sequence[Record]) -> Answer | None:
    """A column with a list of numbers to predict, by its name, beside another list; None where there is none."""
    listed = [name for name in rows[0].fields if num_steps(rows[0], name) > 1]
    name = named(LIST_NAMES, listed)
    if name is None or len(listed) == 1:
        return None
    return Answer((name,), {"target": name}, (f"target: column '{name}', {num_steps(rows[0], name)} numbers a row.",))


def _of_pictures(rows: Sequence[Record], made: Suggestion) -> Suggestion:
    """Where something is in a picture is lost on the mean of its rows: they are read as one vector."""
    name = made.task["values"]
    if "sound" in made.task or made.data or not isinstance(name, str) or len({num_steps(r, name) for r in rows}) > 1:
        return made
    said = (*made.said, "flatten: true, as all rows have as many steps, and a mean over steps would lose the place.")
    return Suggestion({**made.task, "flatten": True}, made.data, said)


def _target(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
    """By its name, else the last column of numbers."""
    numbers = [name for name in names if all_numbers(rows, name)]
    if not numbers:
        raise DataError(f"{file}: expected a column with the number to predict beside the numbers, found none.")
    target = named(TARGET_NAMES, numbers) or numbers[-1]
    found = np.concatenate([numbers_of(row.fields[target], row.origin, target)[0] for row in rows])
    said = f"target: column '{target}', from {np.nanmin(found):.5g} to {np.nanmax(found):.5g}."
    return Answer((target,), {"target": target}, (said,))
