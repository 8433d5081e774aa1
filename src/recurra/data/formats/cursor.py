"""Where a reader is in a file: marks that lead to a row later, without those before it."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol, cast

from recurra.data.formats.format import Format, OpenLines, Rows
from recurra.data.formats.lines import BadRowError, Mark


class _Marked(Protocol):
    """The open lines of a format that is `marked`. at_group: whether the next row is the first of a group"""

    @property
    def at_group(self) -> bool: ...
    def mark(self) -> Mark | None: ...
    def go_to(self, mark: Mark) -> None: ...


class Cursor:
    """Shared by who reads records and who asks for them, one at a time.

    wanted: the mark of the row that is to be the next one
    ranges: bytes of the file that are enough until another mark is wanted, from and to (None: its end); (): all
    """

    def __init__(self, every: int = 0) -> None:
        """every: rows between two marks at most, as each group begins with one; 0: none are made"""
        self._every, self._made = every, cast(Mark | None, None)
        self.wanted: Mark | None = None
        self.ranges: tuple[tuple[int, int | None], ...] = ()

    def taken(self) -> Mark | None:
        """The mark that was made since this was asked last, if any: the last record is the first good one behind it."""
        made, self._made = self._made, None
        return made

    def put(self, mark: Mark | None) -> None:
        """The next record is the first good one behind this mark; None: there is none."""
        self._made = mark

    def before_row(self, format: Format, lines: OpenLines, rows: Rows, number: int) -> None:
        """A row is read next. number: rows that were read before it"""
        if self.wanted is not None:
            self._go(cast(_Marked, lines), rows, first=number == 0 and format.by_line)
        elif self._every and (number % self._every == 0 or (format.marked and cast(_Marked, lines).at_group)):
            self.put(cast(_Marked, lines).mark() if format.marked else None)

    def _go(self, lines: _Marked, rows: Rows, first: bool) -> None:
        mark, self.wanted = self.wanted, None
        assert mark is not None, "a mark is wanted"
        if first:  # which tells of some formats how the others are read
            with suppress(BadRowError):
                rows.next_row()
        lines.go_to(mark)
