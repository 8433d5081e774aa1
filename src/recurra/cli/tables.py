"""Rows with their answers as CSV, TSV or JSON Lines: every column of the row as it was, then those of the answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from recurra.base.answers import Forecast
from recurra.base.atomic import replacing
from recurra.base.errors import DataError
from recurra.cli.terminal import json_text, say
from recurra.data.formats.csv import guarded

if TYPE_CHECKING:
    from recurra.api import Answered, Columns

Row = Mapping[str, object]
NOTE = "note"


def rows_of(
    answers: Iterable[Answered], columns: Columns, *, without: Sequence[str] = (), as_table: bool
) -> Iterator[dict[str, Any]]:
    """The fields of each record but for `without`, then its answer's. Names that are taken get a number, which is said.

    as_table: a note stands in every row, and labels in one cell
    Raises DataError where a later record has a field of the name that an answer's column has got.
    """
    names: dict[str, str] = {}
    known: set[str] = set()
    for one in answers:
        if isinstance(one.answer, Forecast):  # its record is the past of a series, and each step to come is a row
            yield from one.answer.rows()
            continue
        steps = one.record.steps  # the values of each step are for no cell
        fields = {
            name: value
            for name, value in one.record.fields.items()
            if name not in without and not (steps and isinstance(value, list))
        }
        found = columns.of(one)
        if as_table:
            found = _in_cells(found, columns.separator)
        if not known:
            known = set(fields)
        names |= {name: _free(name, known) for name in found if name not in names}
        if taken := [names[name] for name in found if names[name] in fields]:
            raise DataError(
                f"{one.record.origin}: has a field '{taken[0]}', which the first row lacks, and the answers' column is "
                "called so. Rename the field, or give it to the first row."
            )
        yield fields | {names[name]: value for name, value in found.items()}


def _in_cells(found: dict[str, Any], separator: str | None) -> dict[str, Any]:
    """The same for a table: a cell for the note in any case, labels with their separator between them."""
    said = found.get("predicted")
    if separator is not None and isinstance(said, list):
        found["predicted"] = separator.join(said)
    return found if NOTE in found else found | {NOTE: None}


def _free(name: str, known: set[str]) -> str:
    number, free = 2, name
    while free in known:
        free, number = f"{name}_{number}", number + 1
    if free != name:
        say(f"a column '{name}' is there already and stays as it is; that of the answers is '{free}'.")
    known.add(free)
    return free


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """One JSON object a line; the file is there whole or not at all. Returns the number of rows."""
    number = 0
    with replacing(path) as file:
        for row in rows:
            file.write(f"{json_text(row)}\n".encode())
            number += 1
    return number


def write_csv(path: Path, rows: Iterable[Row]) -> int:
    """A header, then a row each; maps and lists as JSON; whole or not at all. Returns the number of rows.

    Text that a spreadsheet would run as a formula gets an apostrophe and a backslash in front, which recurra takes away
    again where it reads the file.
    """

    def begin(file: IO[str]) -> Callable[[Iterable[Any]], object]:
        table = csv.writer(file)
        return lambda cells: table.writerow([guarded(c) if isinstance(c, str) else c for c in cells])

    return _write_table(path, rows, begin)


def write_tsv(path: Path, rows: Iterable[Row]) -> int:
    """The same with tabs between, and no quotes. Raises DataError for a cell with a tab or a line break in it."""

    def begin(file: IO[str]) -> Callable[[Iterable[Any]], object]:
        return lambda cells: file.write("\t".join(map(_tsv_cell, cells)) + "\n")

    return _write_table(path, rows, begin)


def _write_table(path: Path, rows: Iterable[Row], begin: Callable[[IO[str]], Callable[[Iterable[Any]], object]]) -> int:
    number = 0
    with replacing(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
        put = begin(file)
        columns: list[str] = []
        for number, row in enumerate(rows, start=1):
            if not columns:
                columns = list(row)
                with _placed(path, "the names of columns"):
                    put(columns)
            if row.keys() != set(columns):
                raise DataError(
                    f"{path}: row {number} has the columns {list(row)}, the first one {columns}; use .jsonl."
                )
            with _placed(path, f"row {number}"):
                put([_cell(row[name]) for name in columns])
        file.flush()
        file.detach()
    return number


@contextmanager
def _placed(path: Path, where: str) -> Iterator[None]:
    """Raise DataError, with the place, for what no cell can hold."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{path}: {where}: {error}") from None


# By the ending of a file's name.
TABLES: Final[Mapping[str, Callable[[Path, Iterable[Row]], int]]] = {
    ".csv": write_csv,
    ".tsv": write_tsv,
    ".jsonl": write_jsonl,
}


def _cell(value: Any) -> Any:
    several = isinstance(value, Mapping | list | tuple) or getattr(value, "ndim", 0) > 0  # an array of numbers
    return json_text(value) if several else value


def _tsv_cell(value: Any) -> str:
    text = "" if value is None else str(value)
    if any(sign in text for sign in "\t\n\r"):
        raise ValueError(f"a tab or a line break stands in {text[:40]!r}, and no cell of TSV can hold one; use .csv.")
    return text
