"""From a path to records: choose the format, read lazily, name every broken row by file and line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError, did_you_mean
from recurra.base.normal import name_of
from recurra.base.registry import Registry
from recurra.base.words import counted
from recurra.data.formats.bad_rows import BadRows, StopAtBadRow
from recurra.data.formats.format import Format, OpenLines, Rows
from recurra.data.formats.lines import BadRowError, count_lines
from recurra.data.formats.parallel import is_pattern, parallel_paths

FORMATS: Registry[Format] = Registry("format", "recurra.formats")


def read(
    path: str | Path,
    *,
    format: str = "auto",
    columns: Sequence[str] | None = None,
    fields: Sequence[str] = (),
    bad_rows: BadRows | None = None,
) -> Iterator[Record]:
    """Read the records of a file one at a time; memory does not grow with the file. Gzip needs no option.

    format:   a word of FORMATS, or "auto": by the file's name
    columns:  names for a CSV or TSV file that has no header; None: its first line is the header
    fields:   names that every record must have
    bad_rows: what to do with a row that cannot be read; by default, stop
    Raises ConfigError at once for options that are wrong or have no effect; DataError, while reading, for a file that
    is missing, empty, damaged, or without a single good row, and as `bad_rows` says for a broken row.
    """
    name = resolved_format(path) if format == "auto" else format
    chosen = FORMATS[name]
    if columns is not None:
        _check_columns(name, chosen, columns)
    given = None if columns is None else tuple(columns)
    return _records(Path(path), chosen, given, tuple(fields), StopAtBadRow() if bad_rows is None else bad_rows)


def num_lines(path: str | Path) -> int:
    """Lines of a file, or of the first of parallel ones, plain or gzip. Raises DataError for one that is missing."""
    return count_lines(next(iter(parallel_paths(path).values())) if is_pattern(path) else Path(path))


def resolved_format(path: str | Path) -> str:
    """The format that `format: auto` takes for this file, by braces in its name or its suffix (`.gz` aside).

    Raises ConfigError when the name says nothing.
    """
    if is_pattern(path):
        return "parallel"
    suffix = Path(str(path).lower().removesuffix(".gz")).suffix
    for name, known in FORMATS.items():
        if suffix in known.suffixes:
            return name
    raise ConfigError(f"{path}: the name does not tell the format. {_how_to_tell()}")


def _how_to_tell() -> str:
    suffixes = ", ".join(suffix for known in FORMATS.values() for suffix in known.suffixes)
    return f"Rename it, to end in one of {suffixes}; or set data.format in a config to one of: {', '.join(FORMATS)}."


def field(record: Record, name: str) -> Any:
    """The value of one field, by any spelling of its name.

    Raises DataError that names the record's fields when there is none of this name.
    """
    found = spelt(name, record.fields)
    if found is None:
        raise DataError(f"{record.origin}: {_missing(name, record.fields)}")
    return record.fields[found]


def spelt(name: str, names: Collection[str]) -> str | None:
    """A column's name as the file spells it, from any spelling; None where there is no such column."""
    if name in names:
        return name
    wanted = name_of(name)
    return next((one for one in names if name_of(one) == wanted), None)


def _records(
    path: Path, chosen: Format, columns: tuple[str, ...] | None, fields: tuple[str, ...], bad_rows: BadRows
) -> Iterator[Record]:
    with chosen.opened(path) as lines:
        rows = chosen.open(lines, columns)
        if rows.columns is not None:
            _check_header(str(path), rows.columns, fields)
        none_yet = True
        for record in _good_rows(lines, rows, fields, bad_rows):
            none_yet = False
            yield record
        if none_yet:
            raise DataError(_why_no_rows(lines, bad_rows))


def _good_rows(lines: OpenLines, rows: Rows, fields: tuple[str, ...], bad_rows: BadRows) -> Iterator[Record]:
    while True:
        try:
            line, values = rows.next_row()
            for name in fields:
                if spelt(name, values) is None:
                    raise lines.bad(_missing(name, values), line)
        except StopIteration:
            return
        except BadRowError as problem:
            bad_rows.refuse(problem)
        else:
            yield Record(values, Origin(lines.path, line.number))


def _check_columns(name: str, chosen: Format, columns: Sequence[str]) -> None:
    if not chosen.has_header:
        raise ConfigError(f"columns: has no effect on format '{name}', only on csv, tsv and conll. Remove it.")
    if isinstance(columns, str) or not columns or len(set(map(name_of, columns))) < len(columns):
        raise ConfigError(f"columns: expected a list of different names, got {columns!r}.")


def _check_header(path: str, header: tuple[str, ...], fields: tuple[str, ...]) -> None:
    for name in fields:
        if spelt(name, header) is None:
            raise DataError(f"{path}:1: {_missing(name, header)}")


def _missing(name: str, known: Iterable[str] | Mapping[str, Any]) -> str:
    names = list(known)
    return f"no column '{name}'.{did_you_mean(name, names)} Columns: {', '.join(n or '(unnamed)' for n in names)}."


def _why_no_rows(lines: OpenLines, bad_rows: BadRows) -> str:
    if bad_rows.count:
        skipped = "its only row was" if bad_rows.count == 1 else f"all {bad_rows.count:,} rows were"
        return f"{lines.path}: {skipped} skipped. The first: {bad_rows.examples[0]}"
    if lines.number == 0:
        return f"{lines.path}: is empty, expected rows."
    return f"{lines.path}: has no rows, only {counted(lines.number, 'line')} of header or blanks."
