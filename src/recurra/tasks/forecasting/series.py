"""From a record to a series: targets on a grid of time, what is known beside them, and where each step stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.calendar import Clock, Form, Frequency, Stamps, grid_of, inferred, read_stamps, zone_of
from recurra.data.calendar.frequency import refuse_none
from recurra.data.fields import numbers_of
from recurra.data.formats import field

Floats = NDArray[np.float64]
Missing = Literal["refuse", "mask"]
# Beyond this float32 has no numbers, and a model no gradients.
LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Columns:
    """Which fields of a record are what. categories: those among future, past and static that are no numbers."""

    target: tuple[str, ...]
    time: str | None
    id: tuple[str, ...]
    future: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        """Those with a value in each step."""
        return (*self.target, *self.future, *self.past)


@dataclass(frozen=True, slots=True)
class Series:
    """A series on its grid, as the file has it.

    values: (T, D), NaN where none was observed      known: each future column over T + K steps, past the end too
    past: each past column over T steps      static: each static value
    Columns of categories hold text (object arrays), others numbers.
    """

    name: str
    clock: Clock
    values: Floats
    known: tuple[NDArray[Any], ...]
    past: tuple[NDArray[Any], ...]
    static: tuple[Any, ...]
    origin: Origin

    @property
    def length(self) -> int:
        """Steps with targets."""
        return len(self.values)

    def digest(self, end: int) -> bytes:
        """Of all that is there before a step, and of what is known beside."""
        columns = [_plain(column[:end]) for column in (*self.known, *self.past)]
        return digest_of(self.name, self.clock.first, self.values[:end], *columns, *self.static)

    def beginning(self, steps: int) -> str:
        """What tells it from others of its name: its first stamp, and its targets in the first steps."""
        return f"{self.name} {digest_of(self.name, self.clock.first, self.values[:steps]).hex()}"


def _plain(column: NDArray[Any]) -> Any:
    return column if column.dtype != object else tuple(map(str, column))


def series_name(record: Record, columns: Columns) -> str:
    """What a series is called: the values of its id columns, or the column it came from."""
    return ", ".join(str(field(record, name)) for name in columns.id if name in record.fields)


def read_series(
    record: Record, columns: Columns, *, frequency: Frequency | None, zone: str | None, missing: Missing
) -> Series:
    """A record as a series. frequency: None: what its stamps say

    Rows at the end whose targets are all missing tell what is known of the future, where there are columns of it.
    Raises DataError, with row, series and stamp, for what cannot be used.
    """
    name = series_name(record, columns) or "of the file"
    where = _places(record)
    targets = np.concatenate([_numbers(record, one) for one in columns.target], axis=1)
    if not len(targets):
        raise DataError(f"{record.origin}: series {name} holds no step; expected one at least.")
    raw, stamps = _stamps(record, columns, len(targets), zone, where, name)
    order = np.argsort(stamps.places, kind="stable")
    if (order != np.arange(len(order))).any():
        raw, targets = [raw[k] for k in order], targets[order]
        stamps = Stamps(stamps.places[order], stamps.form)
        where = _places(record, order)
    beside = {one: _column(record, one, columns, len(targets))[order] for one in (*columns.future, *columns.past)}
    known_zone = zone_of(zone)
    found = frequency or refuse_none(inferred(stamps.places, stamps.form.kind == "number", known_zone), name)
    grid = grid_of(stamps, raw, found, known_zone, fill=missing == "mask", where=where, series=name)
    values = _spread(targets, grid.places, grid.length, np.nan)
    length = _observed(values) if columns.future else grid.length
    _refuse_unusable(values[:length], columns.target, grid.clock, missing, where, grid.places, name)
    spread = {one: _spread(column, grid.places, grid.length, _nothing(column)) for one, column in beside.items()}
    return Series(
        name,
        grid.clock,
        values[:length],
        tuple(spread[one] for one in columns.future),
        tuple(spread[one][:length] for one in columns.past),
        tuple(_static(record, one, columns, name) for one in columns.static),
        record.origin,
    )


def _places(record: Record, order: NDArray[Any] | None = None) -> Any:
    def where(step: int) -> str:
        row = int(step if order is None else order[step])
        return str(record.steps[row]) if row < len(record.steps) else f"{record.origin}, step {row + 1}"

    return where


def _numbers(record: Record, name: str) -> Floats:
    found = numbers_of(field(record, name), record.origin, name)
    if found.shape[1] != 1:
        raise DataError(
            f"{record.origin}: column '{name}' has {found.shape[1]} numbers a step, expected one; name several columns "
            "in task.target."
        )
    return found


def _stamps(
    record: Record, columns: Columns, length: int, zone: str | None, where: Any, name: str
) -> tuple[list[Any], Stamps]:
    """The stamps as they are written, and as numbers: without a column of them, 0, 1, 2, ...

    Raises DataError for another number of them than of values.
    """
    if columns.time is None:
        return list(range(length)), Stamps(np.arange(length, dtype=np.int64), Form("number"))
    raw = field(record, columns.time)
    if not isinstance(raw, list | tuple | np.ndarray):
        raw = [raw]
    if len(raw) != length:
        raise DataError(
            f"{record.origin}: column '{columns.time}' has {len(raw):,} stamps, column '{columns.target[0]}' "
            f"{length:,} "
            "values; expected as many. Of a file with a row a step, set data.layout: long."
        )
    return list(raw), read_stamps(list(raw), zone_of(zone), where, name)


def _column(record: Record, name: str, columns: Columns, length: int) -> NDArray[Any]:
    """A column beside the targets, as numbers or as text."""
    value = field(record, name)
    if name not in columns.categories:
        found: NDArray[Any] = _numbers(record, name)[:, 0]
    else:
        listed = value if isinstance(value, list | tuple) else [value]
        found = np.array([_word(one) for one in listed], object)
    if len(found) != length:
        raise DataError(
            f"{record.origin}: column '{name}' has {len(found):,} steps, '{columns.target[0]}' {length:,}; expected as "
            "many."
        )
    return found


def _word(value: Any) -> str | None:
    """A value of a column of words; None for one that is missing: null, NaN, a blank cell."""
    text = "" if value is None or value != value else str(value)
    return text if text.strip() else None


def _nothing(column: NDArray[Any]) -> Any:
    return None if column.dtype == object else np.nan


def _spread(column: NDArray[Any], places: NDArray[np.int64], length: int, nothing: Any) -> NDArray[Any]:
    """Rows at their steps; steps without a row hold nothing."""
    if length == len(column):
        return column
    found = np.full((length, *column.shape[1:]), nothing, column.dtype)
    found[places] = column
    return found


def _observed(values: Floats) -> int:
    """Steps up to the last one with a target."""
    there = np.flatnonzero(~np.isnan(values).all(1))
    return int(there[-1]) + 1 if len(there) else 0


def _refuse_unusable(
    values: Floats, names: Sequence[str], clock: Clock, missing: Missing, where: Any, places: Any, series: str
) -> None:
    gone = np.isnan(values)
    wrong = ~gone & ~(np.abs(values) <= LARGEST)
    for bad, why in ((wrong, "{} is no finite number."), (gone, "")):
        if not bad.any() or (not why and missing == "mask"):
            continue
        step, column = (int(one) for one in np.argwhere(bad)[0])
        stamp = clock.written(step, step + 1)[0]
        row = where(int(k[0]) if len(k := np.flatnonzero(places == step)) else 0)
        said = why.format(values[step, column]) if why else (
            f"the number is missing; {int(gone.sum()):,} of {gone.size:,} are. Fill it in, or set task.missing: "
            "mask, so "
            "that a mark of what is there is read beside."
        )  # fmt: skip
        raise DataError(f"{row}: series {series}, {stamp}: column '{names[column]}': {said}")


def _static(record: Record, name: str, columns: Columns, series: str) -> Any:
    value = field(record, name)
    if (word := _word(value)) is None:
        raise DataError(
            f"{record.origin}: series {series}: column '{name}' has no value, expected one, as it stands once for a "
            "whole series and task.missing is of steps. Fill it in, or leave it out of task.static."
        )
    if name in columns.categories:
        return word
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise DataError(
            f"{record.origin}: series {series}: column '{name}' holds {as_written(value)}, expected a number; list it "
            "in task.categories if it is a word."
        )
    return number
