"""A table with a row a step, as series: for detectors that have no config to say which column is what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.api.given import Row, records_of
from recurra.base.contracts import Listener, Record
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.calendar import Stamps, read_stamps
from recurra.data.calendar.stamps import Form
from recurra.data.formats import field, read, spelt
from recurra.tasks import WatchedSeries
from recurra.tasks.columns import looks_like_labels

# Names of columns that usually hold stamps.
TIMES = ("timestamp", "time", "date", "datetime", "ds", "stamp")


def read_table(
    file: Path | Iterable[Row],
    columns: Sequence[str],
    time: str | None,
    id: str | None,
    label: str | None,
    watch: Listener,
) -> list[WatchedSeries]:
    """The series of a file, or of rows, in the order of their first rows.

    columns: of numbers; none: all others that hold them
    time: None: one that is called timestamp, time, date, datetime, ds or stamp; without one steps are counted
    Raises DataError, with file and line, for rows out of order and what is no number. A cell without a number is NaN.
    """
    wanted = (*columns, *(one for one in (time, id, label) if one is not None))
    path = file if isinstance(file, Path) else "rows"
    rows = list(read(file, fields=wanted) if isinstance(file, Path) else records_of(file, ""))
    if not rows:
        raise DataError(f"{path}: there is no row.")
    for one in wanted:
        field(rows[0], one)
    first = rows[0].fields
    if time is None:
        time = next((name for one in TIMES if (name := spelt(one, first)) is not None), None)
    apart = [spelt(one, first) for one in (time, id, label) if one is not None]
    names = [str(spelt(one, first)) for one in columns] or [
        name for name, value in first.items() if name not in apart and _number(value) is not None
    ]
    if not columns and label is None:
        names = _without_labels(rows, names, path, watch)
    if not names:
        raise DataError(f"{path}: no column holds numbers; name one with --columns.")
    if not columns:
        watch.note(f"{path}: columns: {', '.join(names)}; time: {time or 'none, steps are counted'}.")
    groups: dict[str, list[Record]] = {}
    for row in rows:
        groups.setdefault("" if id is None else str(field(row, id)), []).append(row)
    return [_series(name, some, names, time, label) for name, some in groups.items()]


def _without_labels(rows: Sequence[Record], names: list[str], path: object, watch: Listener) -> list[str]:
    """The columns that are data; one that looks like labels is left out, and that is said."""
    labels = [name for name in names if looks_like_labels(name, (row.fields.get(name) for row in rows))]
    if len(labels) == len(names):
        return names
    for name in labels:
        watch.note(
            f"{path}: column '{name}' holds 0 and 1 alone, so it is taken for labels and left out: --labels {name} "
            f"scores by it, --columns {' '.join(names)} reads it."
        )
    return [name for name in names if name not in labels]


def _series(
    name: str, rows: Sequence[Record], columns: Sequence[str], time: str | None, label: str | None
) -> WatchedSeries:
    shown = name or "of the file"
    raw: list[Any] = [*range(len(rows))]
    stamps = Stamps(np.arange(len(rows), dtype=np.int64), Form("number"))
    if time is not None:
        raw = [field(row, time) for row in rows]
        stamps = read_stamps(raw, None, lambda k: str(rows[k].origin), shown)
        _refuse_disorder(stamps.places, rows, shown, raw)
    values = np.empty((len(rows), len(columns)))
    for d, column in enumerate(columns):
        values[:, d] = [_value(row, column, shown) for row in rows]
    labels = None if label is None else np.array([_label(row, label) for row in rows])
    dated = stamps.form.kind != "number"
    return WatchedSeries(shown, rows[0].origin, values, tuple(columns), stamps.places, dated, raw, labels)


def _refuse_disorder(places: NDArray[np.int64], rows: Sequence[Record], name: str, raw: Sequence[Any]) -> None:
    if len(back := np.flatnonzero(np.diff(places) <= 0)):
        k = int(back[0]) + 1
        raise DataError(
            f"{rows[k].origin}: series {name}: the stamp {raw[k]} is not after the one before, {raw[k - 1]}. Sort the "
            "rows by time; of several series in one file, name the column that tells them apart with --id."
        )


def _number(value: Any) -> float | None:
    """None for what is no number; infinity for a whole one beyond every float, as of its digits in a text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
    except OverflowError:
        return math.inf


def _value(row: Record, column: str, name: str) -> float:
    there = spelt(column, row.fields)  # rows of JSON need not have the same fields
    value = None if there is None else row.fields[there]
    if value is None or value == "":
        return np.nan
    found = _number(value)
    if found is None or np.isinf(found):
        raise DataError(
            f"{row.origin}: series {name}: column '{column}' holds {as_written(value)}, expected a finite number."
        )
    return found


def _label(row: Record, column: str) -> bool:
    value = field(row, column)
    number = _number(value)
    if number not in (0.0, 1.0):
        raise DataError(f"{row.origin}: column '{column}' holds {as_written(value)}, expected 0 or 1.")
    return number == 1.0
