"""Which columns of a file hold the numbers of a row, and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.data.fields import numbers_of
from recurra.tasks.columns import named
from recurra.tasks.contract import Suggestion
from recurra.tasks.series_columns import Answer, suggested

# Columns of these names are what a row is, and not what it is like.
APART = ("label", "class", "species", "target", "y", "id")


def autoencoding_suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError or DataError if nothing fits."""
    names = list(rows[0].fields)
    apart = tuple(name for word in APART if (name := named((word,), names)) is not None) if len(names) > 1 else ()

    def found(rows: Sequence[Record], file: Path, names: Sequence[str]) -> Answer:
        return Answer((), {}, tuple(f"values: column '{name}' is left out by its name." for name in apart))

    made = suggested(rows, file, found, wanted="", vectors=True, apart=apart)
    values = made.task["values"]
    arrays = [_numbers(row, [values] if isinstance(values, str) else values) for row in rows]
    options, said = _options(arrays, [values] if isinstance(values, str) else values)
    return Suggestion({**made.task, **options}, made.data, (*made.said, *said))


def _numbers(row: Record, names: Sequence[str]) -> NDArray[np.float64]:
    """(T, F)"""
    return np.concatenate([numbers_of(row.fields.get(name), row.origin, name) for name in names], 1)


def _options(arrays: Sequence[NDArray[np.float64]], names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    said = []
    if len(arrays[0]) > 1:
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
    if len(names) == 1 and there.min() >= 0 and there.max() <= 255 and len(arrays[0]) > 1 and _whole(there):
        return found | {"scaling": "range"}, [*said, "scaling: range, as whole numbers up to 255 are pixels."]
    return found, said


def _whole(numbers: NDArray[np.float64]) -> bool:
    return bool((numbers == np.round(numbers)).all())
