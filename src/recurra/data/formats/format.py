"""The contract of a file format: it turns lines into rows of named fields, and knows no task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from recurra.base.contracts import Origin
from recurra.data.formats.lines import BadRowError, Line, open_lines

# What a config may say of how a file is read. columns: a list of names; paths: `columns` as a map from our name to the
# name, or the dotted path, of a field
OptionName = Literal["columns", "paths", "delimiter", "encoding", "sheet", "offsets"]
# How a tool counts the places of spans: in code points, or in the 16-bit units of JavaScript, of which an emoji is two.
Offsets = Literal["characters", "utf-16"]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a config says of how its files are read. None: as the format finds it.

    columns: names for a file without a header      paths: our name of a field to the dotted path where it stands
    delimiter: between the cells of a row      encoding: a codec of Python      sheet: of a workbook
    offsets: how the places of spans are counted; None: in characters
    """

    columns: tuple[str, ...] | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    offsets: Offsets | None = None


class Rows(Protocol):
    """An open file, row by row.

    Where there is a member `said`, a list of sentences, it holds what a person should know of how the file is read: all
    that is known when it is opened, and what is added until the last row is read.
    """

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The fields of every row, known before the first one; None where each row names its own (JSONL)."""
        ...

    def next_row(self) -> tuple[Line | Origin, Mapping[str, Any]]:
        """The line where the next row begins, or the file of several in which it is, and its fields.

        Raises StopIteration at the end, BadRowError for a row to refuse; the call after that gives the row behind it.
        """
        ...


class OpenLines(Protocol):
    """The open lines of a file, or of several side by side. path: as the user gave it. number: lines read so far.

    A member `said`, where there is one, is as that of `Rows`.
    """

    path: str

    @property
    def number(self) -> int: ...
    def bad(self, message: str, line: Line | None = None) -> BadRowError: ...


def _opened_plainly(path: Path, options: ReadOptions) -> AbstractContextManager[OpenLines]:
    return open_lines(path, encoding=options.encoding)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write records into a file.

    doc: one line for `recurra explain`.  suffixes: file names it is taken for by `format: auto`, without .gz.
    open: lines and what the config says to rows.  options: those that have an effect; others are refused by name.
    opened: a path to the lines that `open` takes; only a format that is no text of one file needs another one.
    takes: why a file or folder is of this format, whatever its name, as a clause ("its first row has ..."); "" if not
    by_line: whether lines tell how many rows there are, so that nobody has to read them all to count them
    marked: whether a row is read without those before it, from any mark that what `opened` gives has made, once the
      first row of the file is read where it is `by_line` (`mark`, `go_to`, `at_group`)
    splits: the parts of a folder of several by the name of their split; none of a folder that is one
    """

    doc: str
    suffixes: tuple[str, ...]
    open: Callable[[Any, ReadOptions], Rows]
    options: tuple[OptionName, ...] = ()
    opened: Callable[[Path, ReadOptions], AbstractContextManager[OpenLines]] = _opened_plainly
    takes: Callable[[Path], str] | None = None
    by_line: bool = True
    marked: bool = False
    splits: Callable[[Path], Mapping[str, Path]] | None = None
