"""Which column of a file holds the label of a series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.tasks.columns import counted, missing, named, values
from recurra.tasks.series_columns import Answer

# Names that people give to this column; the first that is there wins.
LABEL_NAMES = ("label", "labels", "class", "category", "target", "activity", "y")


def label_among(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
    """By its name, else the column of the fewest different values. Raises DataError where there is none."""
    label = _label(rows, file, names)
    found = values(rows, label)
    absent = missing(found)
    said = (f"label: column '{label}'; {counted(found)}.", *([f"label: {absent}"] if absent else []))
    return Answer((label,), {"label": label}, said)


def _label(rows: Sequence[Record], file: Path, names: Sequence[str]) -> str:
    if not names:
        raise DataError(f"{file}: expected a column with the label beside the numbers, found none.")
    if (name := named(LABEL_NAMES, names)) is not None:
        return name
    several = [name for name in names if len(set(values(rows, name))) > 1] or list(names)
    return min(several, key=lambda name: len(set(values(rows, name))))
