"""Texts in, predictions out: arguments, standard input and files; lines, CSV and JSONL."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from recurra.base.atomic import replacing
from recurra.base.contracts import Origin, Record
from recurra.base.errors import DataError
from recurra.cli.failures import UsageError
from recurra.cli.terminal import one_line, plain

# The limit of data files (a "10 MB line" is no text to classify).
MAX_LINE = 8 << 20
_CONFIDENCE = ("score", "confidence", "probability")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = Mapping[str, object]


def from_arguments(texts: Iterable[str], field: str) -> Iterator[Record]:
    """One record per text of the command line."""
    for number, text in enumerate(texts, start=1):
        yield Record({field: text}, Origin("argument", number))


def from_standard_input(field: str, stream: BinaryIO | None = None) -> Iterator[Record]:
    """One record per line, read as it comes. Raises DataError for a line over 8 MiB, or not UTF-8."""
    stream = stream or sys.stdin.buffer
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        origin = Origin("standard input", number)
        if len(line) > MAX_LINE:
            raise DataError(f"{origin}: line longer than {MAX_LINE >> 20} MiB.")
        yield Record({field: _decoded(line, origin)}, origin)


def _decoded(line: bytes, origin: Origin) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{origin}: not UTF-8: byte 0x{line[error.start]:02x} at {error.start + 1}.") from None


def readable(row: Row) -> str:
    """`spam<tab>97.3 %<tab>the text`: labels, confidence, then the other single values; one line, whatever the data.

    Maps and lists of numbers (all probabilities) are left to --json.
    """
    values = dict(row)
    label = values.pop("label", values.pop("labels", None))
    confidence = next((values.pop(name) for name in _CONFIDENCE if name in values), None)
    parts = [_words(label)] if label is not None else []
    parts += [f"{100 * confidence:.1f} %"] if isinstance(confidence, float) else []
    parts += [one_line(str(value)) for value in values.values() if isinstance(value, str | int | float)]
    return "\t".join(parts)


def _words(label: object) -> str:
    return ", ".join(one_line(str(part)) for part in label) if isinstance(label, list | tuple) else one_line(str(label))


def json_line(row: Row) -> str:
    """One prediction as one line of JSON."""
    return json.dumps(plain(row), ensure_ascii=False, allow_nan=False)


def writer_for(path: Path) -> Callable[[Path, Iterable[Row]], int]:
    """What writes predictions to a file of this name: `.csv` or `.jsonl`. Raises UsageError for another suffix."""
    writers = {".csv": write_csv, ".jsonl": write_jsonl}
    if path.suffix.lower() not in writers:
        raise UsageError(f"--output {path}: expected a name that ends in .csv or .jsonl.")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder '{path.parent}'. Make it, or choose another.")
    return writers[path.suffix.lower()]


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """One JSON object a line, exactly as predicted; the file is there whole or not at all. Returns the rows' number."""
    number = 0
    with replacing(path) as file:
        for row in rows:
            file.write(f"{json_line(row)}\n".encode())
            number += 1
    return number


def write_csv(path: Path, rows: Iterable[Row]) -> int:
    """A header, then a row a prediction; maps and lists as JSON; whole or not at all. Returns the number of rows.

    Text that a spreadsheet would run as a formula (it begins with = + - @ tab or carriage return) gets an
    apostrophe in front; write .jsonl to have every text exactly as it is.
    """
    number = 0
    with replacing(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
        table = csv.writer(file)
        columns: list[str] = []
        for number, row in enumerate(rows, start=1):
            if not columns:
                columns = list(row)
                table.writerow(map(_csv_cell, columns))
            if list(row) != columns:
                raise DataError(
                    f"{path}: row {number} has the columns {list(row)}, the first one {columns}; use .jsonl."
                )
            table.writerow([_csv_cell(value) for value in row.values()])
        file.flush()
        file.detach()
    return number


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple):
        return json_line(value) if isinstance(value, Mapping) else json.dumps(plain(value), ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
