"""Which columns of a file hold the numbers of a row, and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.words import counted
from recurra.data.fields import numbers_of
from recurra.data.formats.images import SUFFIXES
from recurra.tasks.autoencoding.notes import suggested_notes
from recurra.tasks.columns import named
from recurra.tasks.contract import Suggestion
from recurra.tasks.series_columns import Answer, suggested

# Columns of these names are what a row is, and not what it is like.
APART = ("label", "class", "species", "target", "y", "id")


def autoencoding_suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    if (music := suggested_notes(rows, file)) is not None:
        return music
    names = list(rows[0].fields)
    apart = tuple(name for word in APART if (name := named((word,), names)) is not None) if len(names) > 1 else ()
    apart = tuple(name for name in apart if name.lower() != "id" or not _repeats(rows, name))

    def found(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
        return Answer((), {}, tuple(f"values: column '{name}' is left out by its name." for name in apart))

    made = suggested(rows, file, found, wanted="", vectors=True, apart=apart)
    values = made.task["values"]
    arrays = [_numbers(row, [values] if isinstance(values, str) else values) for row in rows]
    options, said = _options(rows, arrays, [values] if isinstance(values, str) else values, file)
    return Suggestion({**made.task, **options}, made.data, (*made.said, *said))


def _numbers(row: Record, names: Sequence[str]) -> NDArray[np.float64]:
    """(T, F)"""
    return np.concatenate([numbers_of(row.fields.get(name), row.origin, name) for name in names], 1)


def _repeats(rows: Sequence[Record], name: str) -> bool:
    """Whether neighbours have the same id: then they are steps of one row."""
    return any(a.fields.get(name) == b.fields.get(name) for a, b in pairwise(rows))


def unequal_pictures(rows: Sequence[Record], arrays: Sequence[NDArray[np.float64]]) -> list[str]:
    """A sentence where rows are picture files of unequal height: convolutions need one size."""
    other = next((k for k, one in enumerate(arrays) if len(one) != len(arrays[0])), None)
    if other is None or Path(rows[0].origin.path).suffix.lower() not in SUFFIXES:
        return []
    return [
        f"{rows[other].origin}: has {counted(len(arrays[other]), 'row')} of pixels, and the first picture "
        f"{len(arrays[0])}; for model.encoder: pictures bring all to one size."
    ]


def _options(
    rows: Sequence[Record], arrays: Sequence[NDArray[np.float64]], names: Sequence[str], file: Path
) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    said = []
    if is_series(arrays, file):
        said += unequal_pictures(rows, arrays)
        said.append("each row is read and written step by step; task.flatten: true would make one vector of all.")
    elif len(arrays[0]) > 1:
        found["flatten"] = True
        said.append("flatten: true, as a row has several steps: all of them are one vector.")
    together = np.concatenate([one.ravel() for one in arrays])
    there = together[~np.isnan(together)]
    if len(there) < len(together):
        found["missing"] = "mask"
        said.append("missing: mask, as some numbers are missing.")
    if set(np.unique(there)) <= {0.0, 1.0}:
        return found | {"scaling": "none", "likelihood": "bernoulli"}, [
            *said,
            "likelihood: bernoulli, as all are 0 or 1.",
        ]
    if len(names) == 1 and "flatten" in found and are_pixels(there):
        return found | {"scaling": "range"}, [*said, "scaling: range, as whole numbers up to 255 are pixels."]
    return found, said


def is_series(arrays: Sequence[NDArray[np.float64]], file: Path) -> bool:
    """Whether rows (T, F) of several steps are sequences: they differ in length, or each step has several numbers.

    A .ts file says that its rows are. Others of one length, and pixels, are one vector as well.
    """
    if max(map(len, arrays)) == 1:
        return False
    together = np.concatenate([one.ravel() for one in arrays])
    several = arrays[0].shape[1] > 1 and not are_pixels(together[~np.isnan(together)])
    return several or len({len(one) for one in arrays}) > 1 or ".ts" in file.suffixes


def are_pixels(numbers: NDArray[np.float64]) -> bool:
    """Whether all are whole numbers from 0 to 255."""
    return bool(len(numbers) and numbers.min() >= 0 and numbers.max() <= 255 and (numbers == np.round(numbers)).all())
