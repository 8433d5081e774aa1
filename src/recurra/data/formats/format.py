"""The contract of a file format: it turns lines into rows of named fields, and knows no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from recurra.data.formats.lines import Line, Lines


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


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write records into a file.

    doc: one line for `recurra explain`.  suffixes: file names it is taken for by `format: auto`, without .gz.
    open: lines and column names (None: the first line is the header) to rows.  has_header: whether names matter.
    """

    doc: str
    suffixes: tuple[str, ...]
    open: Callable[[Lines, tuple[str, ...] | None], Rows]
    has_header: bool
