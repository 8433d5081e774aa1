"""The contract of a file format: it turns lines into rows of named fields, and knows no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from recurra.data.formats.lines import BadRowError, Line, open_lines


class Rows(Protocol):
    """An open file, row by row."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The fields of every row, known before the first one; None where each row names its own (JSONL)."""
        ...

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The line where the next row begins, and its fields.

        Raises StopIteration at the end, BadRowError for a row to refuse; the call after that gives the row behind it.
        """
        ...


class OpenLines(Protocol):
    """The open lines of a file, or of several side by side. path: as the user gave it. number: lines read so far."""

    path: str

    @property
    def number(self) -> int: ...
    def bad(self, message: str, line: Line | None = None) -> BadRowError: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write records into a file.

    doc: one line for `recurra explain`.  suffixes: file names it is taken for by `format: auto`, without .gz.
    open: lines and column names (None: the first line is the header) to rows.  has_header: whether names matter.
    opened: a path to the lines that `open` takes; only a format of several files needs another one than `open_lines`.
    """

    doc: str
    suffixes: tuple[str, ...]
    open: Callable[[Any, tuple[str, ...] | None], Rows]
    has_header: bool
    opened: Callable[[Path], AbstractContextManager[OpenLines]] = open_lines
