"""What CSV and TSV share: a header, the same number of cells in every row, and errors that name both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recurra.base.errors import DataError
from recurra.base.normal import name_of
from recurra.base.words import counted
from recurra.data.formats.lines import BadRowError, Line, Lines

CellReader = Callable[[Lines], tuple[Line, list[str]]]


class TableRows:
    """Rows of a table; cells are text, as `read_cells` finds them. Blank lines are rows only of one column.

    columns: names for a file without header; None: the first row holds the names, and of several columns without one
      each is called by its place: 'column 3'.
    hint: what may be wrong with a row of another number of cells, as a sentence with a leading space.
    Raises DataError when the header is missing, names a column twice, or repeats the given names.
    """

    def __init__(
        self,
        lines: Lines,
        columns: tuple[str, ...] | None,
        read_cells: CellReader,
        hint: Callable[[list[str]], str] = lambda cells: "",
    ) -> None:
        self._lines = lines
        self.said: list[str] = []
        self._hint = hint
        self._read_cells = read_cells
        self._may_be_header = columns is not None
        self.columns = self._header() if columns is None else columns
        self._known = 0  # a row stands behind each blank line up to this one

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next row's first line and its fields; BadRowError when it has another number of cells than the header."""
        if len(self.columns) == 1 and (blank := self._blank()) is not None:
            return blank, {self.columns[0]: ""}
        line, cells = self._read_cells(self._lines)
        if self._may_be_header and [*map(name_of, cells)] == [*map(name_of, self.columns)]:
            raise DataError(
                f"{self._lines.path}:{line.number}: the first line is a header, but `columns` is set, "
                "which is for files without one. Remove `columns`."
            )
        self._may_be_header = False
        if len(cells) != len(self.columns):
            wanted = f"{counted(len(self.columns), 'cell')} ({', '.join(self.columns)})"
            got = f"{len(cells)}: {_shown(cells)}.{self._hint(cells)}"
            raise self._lines.bad(f"expected {wanted}, got {got}", line)
        return line, dict(zip(self.columns, cells, strict=True))

    def _blank(self) -> Line | None:
        """The next line, if it is blank and a row follows: in a table of one column that is an empty cell.

        Without it, texts and their answers would not stand on the same lines. Blank lines at the end are none.
        """
        first = next(self._lines)
        if first.text:
            self._lines.put_back([first])
            return None
        if first.number > self._known:
            self._known = first.number + self._count() - 1
        return first

    def _count(self) -> int:
        """How many blank lines stand here, with the one that was taken. Raises StopIteration if nothing follows."""
        taken: list[Line | BadRowError] = []
        try:
            while not (line := next(self._lines)).text:
                taken.append(line)
            taken.append(line)
        except BadRowError as problem:
            taken.append(problem)
        self._lines.put_back(taken)
        return len(taken)

    def _header(self) -> tuple[str, ...]:
        try:
            line, names = self._read_cells(self._lines)
        except StopIteration:
            raise DataError(f"{self._lines.path}: is empty, expected a header and rows.") from None
        return names_of_header(f"{self._lines.path}:{line.number}", names)


def names_of_header(where: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns; of several without one each is called by its place.

    where: file and line. Raises DataError for a name that comes twice.
    """
    if sum(not name_of(name) for name in names) > 1:  # a spreadsheet writes its empty columns too
        names = [name if name_of(name) else f"column {place}" for place, name in enumerate(names, start=1)]
    twice = [name for name, count in Counter(map(name_of, names)).items() if count > 1]
    if twice:
        raise DataError(
            f"{where}: column {twice[0]!r} appears twice in the header ({', '.join(names)}). Give each column a name "
            "of its own."
        )
    return tuple(names)


def _shown(cells: list[str]) -> str:
    text = " | ".join(cells)
    return repr(text if len(text) <= 60 else text[:57] + "...")
