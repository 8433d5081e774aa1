"""How rows of a file make records: each its own, many of them one (long form), every column one (wide form).

long   id  time  x          {id: a, time: [1, 2], x: [.1, .3]}
       a   1     .1    ->   {id: b, ...}
       a   2     .3

wide   time  a   b          {series: a, time: [1, 2], value: [.1, .3]}
       1     .1  .7    ->   {series: b, time: [1, 2], value: [.7, .8]}
       2     .3  .8

windows  x           {x: [.1, .2]}
         .1    ->    {x: [.3, .4]}
         .2 ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Protocol

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError, DataError
from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.base.words import as_written
from recurra.data.calendar.stamps import of_loose_text
from recurra.data.formats import field, spelt


class Layout(Protocol):
    """How rows make records. columns: that every row must have, besides those of the task"""

    @property
    def columns(self) -> tuple[str, ...]: ...
    def made(self, names: Collection[str]) -> set[str]:
        """Those of these fields that the layout makes, so that no row has them."""
        ...

    def records(
        self, rows: Iterable[Record], steps: Collection[str], once: Collection[str]
    ) -> Iterator[Record | DataError]:
        """Records of rows, and what is wrong, with file and line, in the place of one that cannot be made.

        steps: the fields that have a value in each step      once: those that have one for all steps, if they are there
        """
        ...


class Long:
    """Long form: rows with the same `id` are one record, in the order of `time`."""

    def __init__(
        self,
        *,
        id: Annotated[
            str | tuple[str, ...], Opt("column whose value rows of one series share, or several", named=True)
        ],
        time: Annotated[
            str | None, Opt("column that orders the rows of a series: numbers or stamps; null: as the file has them")
        ] = None,
    ) -> None:
        self.ids = (id,) if isinstance(id, str) else tuple(id)
        self.time = time
        if not self.ids or len(set(self.ids)) < len(self.ids):
            raise ConfigError(f"id: expected a column, or different ones, got {list(self.ids)}.")
        if time in self.ids:
            raise ConfigError(f"time: is '{time}', a column of id too; expected another column.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.ids, *((self.time,) if self.time is not None else ()))

    def made(self, names: Collection[str]) -> set[str]:
        """None."""
        return set()

    def records(
        self, rows: Iterable[Record], steps: Collection[str], once: Collection[str]
    ) -> Iterator[Record | DataError]:
        groups: dict[tuple[Any, ...], list[Record]] = {}
        for row in rows:
            groups.setdefault(tuple(str(field(row, name)) for name in self.ids), []).append(row)
        for key in list(groups):  # each is let go when it is made
            try:
                yield self._record(groups.pop(key), steps, once)
            except DataError as problem:
                yield problem

    def _record(self, rows: list[Record], steps: Collection[str], once: Collection[str]) -> Record:
        if self.time is not None:
            rows = _ordered(rows, self.time, self._named(rows[0]))
        listed = {*steps, *((self.time,) if self.time is not None else ())}
        fields: dict[str, Any] = {}
        for name in rows[0].fields:
            if any(spelt(one, (name,)) for one in listed):
                fields[name] = [row.fields.get(name) for row in rows]
            elif (value := self._common(rows, name)) is not _SEVERAL:
                fields[name] = value
            elif any(spelt(one, (name,)) for one in once):
                raise self._disagree(rows, name)
        return Record(fields, rows[0].origin, tuple(row.origin for row in rows))

    def _common(self, rows: list[Record], name: str) -> Any:
        """What all rows have in a column; `_SEVERAL` where they differ."""
        first = rows[0].fields.get(name)
        return first if all(row.fields.get(name) == first for row in rows) else _SEVERAL

    def _disagree(self, rows: list[Record], name: str) -> DataError:
        other = next(row for row in rows if row.fields.get(name) != rows[0].fields.get(name))
        said, first = (as_written(row.fields.get(name)) for row in (other, rows[0]))
        return DataError(
            f"{other.origin}: {self._named(other)} has {name} {said} here and {first} at {rows[0].origin}; expected "
            "the same in all of its rows."
        )

    def _named(self, row: Record) -> str:
        return ", ".join(f"{name} {as_written(field(row, name))}" for name in self.ids)


class Wide:
    """Wide form: each row is a step, and each column a series; a record for each column."""

    def __init__(
        self,
        *,
        columns: Annotated[
            tuple[str, ...] | None, Opt("columns that are series; null: all but `time`", named=True)
        ] = None,
        time: Annotated[
            str | None, Opt("column that orders the rows: numbers or stamps; null: as the file has them")
        ] = None,
        series: Annotated[str, Opt("field of a record that holds the name of its column", named=True)] = "series",
        value: Annotated[str, Opt("field of a record that holds the values of its column", named=True)] = "value",
    ) -> None:
        self.names, self.time, self.series, self.value = columns, time, series, value
        if columns is not None and (not columns or len(set(columns)) < len(columns) or time in columns):
            raise ConfigError(f"columns: expected different columns, time not among them, got {list(columns)}.")
        if len({series, value, time}) < 3:
            raise ConfigError("series, value, time: two of them have the same name; expected different ones.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(self.names or ()), *((self.time,) if self.time is not None else ()))

    def made(self, names: Collection[str]) -> set[str]:
        """The name and the values of a column."""
        return {name for name in names if name in (self.series, self.value)}

    def records(
        self, rows: Iterable[Record], steps: Collection[str], once: Collection[str]
    ) -> Iterator[Record | DataError]:
        all_rows = list(rows)
        if not all_rows:
            return
        if self.time is not None:
            try:
                all_rows = _ordered(all_rows, self.time, "the file")
            except DataError as problem:
                yield problem
                return
        first, time = all_rows[0], self.time
        # A column of steps that is no series stands beside each of them.
        beside = [name for name in steps if name not in (self.value, self.series) and spelt(name, first.fields)]
        beside = [name for name in beside if name not in (self.names or ())]
        apart = [*beside, *([] if time is None else [time])]
        wanted = self.names or [one for one in first.fields if not any(spelt(name, (one,)) for name in apart)]
        origins = tuple(row.origin for row in all_rows)
        for name in wanted:
            fields: dict[str, Any] = {self.series: name, self.value: [field(row, name) for row in all_rows]}
            if time is not None:
                fields[time] = [field(row, time) for row in all_rows]
            fields |= {one: [field(row, one) for row in all_rows] for one in beside}
            yield Record(fields, first.origin, origins)


class OneSeries:
    """All rows of a file are one record, in the order of `time`."""

    def __init__(self, time: str | None) -> None:
        self.time = time

    @property
    def columns(self) -> tuple[str, ...]:
        return () if self.time is None else (self.time,)

    def made(self, names: Collection[str]) -> set[str]:
        """None."""
        return set()

    def records(
        self, rows: Iterable[Record], steps: Collection[str], once: Collection[str]
    ) -> Iterator[Record | DataError]:
        found = list(rows)
        try:
            found = found if self.time is None or not found else _ordered(found, self.time, "the file")
        except DataError as problem:
            yield problem
            return
        if found:
            listed = [name for name in found[0].fields if any(spelt(one, (name,)) for one in (*steps, *self.columns))]
            fields = {name: [row.fields.get(name) for row in found] for name in listed}
            yield Record(fields, found[0].origin, tuple(row.origin for row in found))


class Windows:
    """Rows of a series that follow one another, so many at a time: a record for each window.

    whole: the layout that makes records of whole series, before they are cut
    left_out: rows so far behind the last full window of their series
    Windows that have rows in common are alike: data.split: ordered keeps those of one place out of another split.
    """

    def __init__(
        self,
        *,
        length: Annotated[int, Opt("rows of a window", ge=2, le=1_000_000)],
        stride: Annotated[int | None, Opt("rows from window to window; null: as many as one has", ge=1)] = None,
        id: Annotated[
            str | tuple[str, ...] | None,
            Opt("column whose value rows of one series share; null: all are one", named=True),
        ] = None,
        time: Annotated[
            str | None, Opt("column that orders the rows of a series: numbers or stamps; null: as the file has them")
        ] = None,
    ) -> None:
        self.length, self.stride, self.time = length, stride or length, time
        self.left_out = 0
        self.whole: Layout = OneSeries(time) if id is None else Long(id=id, time=time)
        if self.stride > length:
            raise ConfigError(f"stride: is {stride}, and windows of {length} rows would leave some out; take {length}.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.whole.columns

    def made(self, names: Collection[str]) -> set[str]:
        """None."""
        return set()

    def records(
        self, rows: Iterable[Record], steps: Collection[str], once: Collection[str]
    ) -> Iterator[Record | DataError]:
        listed = (*steps, *(() if self.time is None else (self.time,)))
        for one in self.whole.records(rows, steps, once):
            if isinstance(one, DataError):
                yield one
            elif len(one.steps) < self.length:
                said = f"a series of {len(one.steps):,} rows, and a window has {self.length:,}; set a shorter length."
                yield DataError(f"{one.origin}: data.layout: {said}")
            else:
                yield from self._cut(one, listed)

    def _cut(self, one: Record, listed: Collection[str]) -> Iterator[Record]:
        several = {name for name in one.fields if any(spelt(other, (name,)) for other in listed)}
        self.left_out += (len(one.steps) - self.length) % self.stride
        for start in range(0, len(one.steps) - self.length + 1, self.stride):
            part = slice(start, start + self.length)
            fields = {name: value[part] if name in several else value for name, value in one.fields.items()}
            yield Record(fields, one.steps[start], one.steps[part])


# Both are told apart from None, which rows can have in common.
_SEVERAL: Any = object()
_BEHIND_THE_SIXTH = re.compile(r"[.,]\d{6}(\d+)")

LAYOUTS: Registry[Callable[..., Layout]] = Registry("layout", "recurra.layouts")
LAYOUTS.add("long", Long)
LAYOUTS.add("wide", Wide)
LAYOUTS.add("windows", Windows)


def _ordered(rows: list[Record], column: str, what: str) -> list[Record]:
    """Rows in the order of a column. Raises DataError for what is neither number nor stamp, or stands twice."""
    keys = [_place(row, column) for row in rows]
    mixed = next((k for k, key in enumerate(keys) if _sort_of(key) != _sort_of(keys[0])), None)
    if mixed is not None:
        raise DataError(
            f"{rows[mixed].origin}: column '{column}' holds {as_written(field(rows[mixed], column))}, and "
            f"{as_written(field(rows[0], column))} in the first row of {what}; expected all numbers, or all stamps, "
            "with a time zone in each or in none."
        )
    order = sorted(range(len(rows)), key=keys.__getitem__)
    for before, after in pairwise(order):
        if keys[before] == keys[after]:
            raise DataError(
                f"{rows[after].origin}: {what} has {column} {as_written(field(rows[after], column))} twice, here and "
                f"at {rows[before].origin}; expected each once. Remove one of the rows."
            )
    return [rows[k] for k in order]


def _sort_of(key: float | tuple[datetime, str]) -> tuple[bool, bool]:
    return isinstance(key, tuple), isinstance(key, tuple) and key[0].tzinfo is None


def _place(row: Record, column: str) -> Any:
    """Where a row stands: a number, or a stamp with its digits behind the sixth, which datetime drops."""
    value = field(row, column)
    if isinstance(value, datetime):
        return value, ""
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return value
    if isinstance(value, str):
        for read in (int, float, datetime.fromisoformat, of_loose_text):  # a float has 15 digits, nanoseconds have 19
            try:
                place = read(value.strip())
            except ValueError:
                continue
            if isinstance(place, datetime):
                return place, "".join(_BEHIND_THE_SIXTH.findall(value)[:1]).rstrip("0")
            if place == place:
                return place
    raise DataError(
        f"{row.origin}: column '{column}' holds {as_written(value)}, expected a number or a stamp such as "
        "2024-03-31T02:00."
    )
