"""Comma-separated values as in RFC 4180: a quoted cell may hold commas, doubled quotes and line breaks.

Written out here, because the standard library's reader cannot say on which line a quote was opened, has a
process-wide limit on the length of a cell, and reads to the end of the file when a quote is never closed.
As there, a quote inside a cell that does not begin with one is an ordinary character.
"""

from __future__ import annotations

from recurra.data.formats.format import Format
from recurra.data.formats.lines import MAX_LINE_BYTES, BadRowError, Line, Lines
from recurra.data.formats.table import TableRows


def read_cells(lines: Lines) -> tuple[Line, list[str]]:
    """The next row's first line and its cells; blank lines are passed over.

    Raises BadRowError for a quote that is never closed, or text behind a closing quote; the line that opened the row is
    then the only one that is lost, for a stray quote must not swallow the rows after it.
    """
    line = next(lines)
    while not line.text:
        line = next(lines)
    if '"' not in line.text:
        return line, line.text.split(",")
    return line, _QuotedRow(lines, line).cells()


class _QuotedRow:
    """One row with quotes in it, which may go on over several lines."""

    def __init__(self, lines: Lines, first: Line) -> None:
        self._lines = lines
        self._line = first
        self._at = 0
        self._taken: list[Line] = []  # the lines after the first one
        self._size = len(first.text)
        self._damage: BadRowError | None = None

    def cells(self) -> list[str]:
        cells: list[str] = []
        while True:
            cells.append(self._quoted() if self._line.text.startswith('"', self._at) else self._plain())
            if self._at == len(self._line.text):
                break
            self._at += 1  # the comma
        if self._damage:  # a line inside a cell could not be read: the row is bad, but its end is known
            raise self._damage
        return cells

    def _plain(self) -> str:
        start, end = self._at, self._line.text.find(",", self._at)
        self._at = len(self._line.text) if end < 0 else end
        return self._line.text[start : self._at]

    def _quoted(self) -> str:
        opened = self._line
        pieces: list[str] = []
        start = self._at + 1
        while True:
            end = self._line.text.find('"', start)
            if end < 0:
                pieces += self._line.text[start:], self._line.ending
                self._next_line(opened)
                start = 0
            elif self._line.text.startswith('"', end + 1):
                pieces.append(self._line.text[start : end + 1])
                start = end + 2
            else:
                pieces.append(self._line.text[start:end])
                self._end_cell(end + 1, opened)
                return "".join(pieces)

    def _end_cell(self, at: int, opened: Line) -> None:
        if at < len(self._line.text) and self._line.text[at] != ",":
            self._give_up(
                f"expected a comma after the quote that closes at line {self._line.number}, "
                f"got {self._line.text[at]!r}. Write a quote inside a quoted cell twice.",
                opened,
            )
        self._at = at

    def _next_line(self, opened: Line) -> None:
        try:
            line = next(self._lines)
        except StopIteration:
            self._give_up("a quote opens here and is never closed.", opened)
        except BadRowError as damage:
            self._damage = self._damage or damage
            line = damage.line
        self._taken.append(line)
        self._line = line
        self._size += len(line.text) + 1
        if self._size > MAX_LINE_BYTES:
            self._give_up(f"a quote opens here and is not closed within {MAX_LINE_BYTES:,} bytes, the limit.", opened)

    def _give_up(self, message: str, opened: Line) -> None:
        self._lines.put_back(self._taken)
        raise self._lines.bad(message, opened)


CSV = Format(
    doc="comma-separated values; cells may be quoted and hold line breaks (RFC 4180)",
    suffixes=(".csv",),
    open=lambda lines, columns: TableRows(lines, columns, read_cells),
    has_header=True,
)
