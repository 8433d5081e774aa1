"""CoNLL columns: a token a line with its columns, a blank line between sentences. A sentence is one record.

Columns are cut at tabs where the first line has one, else at runs of spaces (CoNLL-2003, CoNLL-2000). There are no
comments: `#` is a token. Lines that begin with -DOCSTART- are no tokens (CoNLL-2003).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recurra.base.errors import DataError
from recurra.data.formats.format import Format
from recurra.data.formats.lines import BadRowError, Line, Lines

# The line of each token, for messages: a field beside the columns.
LINE = "line"
DOCUMENT = "-DOCSTART-"
# A novel has about as many; more than that is a file without blank lines.
MAX_TOKENS = 200_000

# What the columns of the shared tasks are: tagging, chunking (CoNLL-2000), names (CoNLL-2003).
NAMES = {1: ("token",), 2: ("token", "tag"), 3: ("token", "pos", "tag"), 4: ("token", "pos", "chunk", "tag")}


class ConllRows:
    """Sentences as lists, one for each column and one of line numbers.

    columns: names for the file's columns; None: `token` first, `tag` last, and for 3 or 4 columns `pos` and `chunk`
    Raises DataError for a column named `line`, or another number of names than the first line has columns.
    """

    def __init__(self, lines: Lines, columns: tuple[str, ...] | None) -> None:
        self._lines = lines
        first = _first(lines)
        self._tabs = first is not None and "\t" in first.text
        number = len(columns or ("token",)) if first is None else len(self._cells(first))
        self._names = columns or NAMES.get(number) or _names(number)
        self.columns = (*self._names, LINE)
        if LINE in self._names:
            raise DataError(f"{lines.path}: a column is called '{LINE}', which holds line numbers; name it otherwise.")

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next sentence's first line and its columns; BadRowError for the first of its lines that is wrong."""
        sentence = next_sentence(self._lines)
        while all(_is_document(line) for line in sentence):
            sentence = next_sentence(self._lines)
        tokens = [line for line in sentence if not _is_document(line)]
        rows = [self._checked(line) for line in tokens]
        columns = zip(*rows, strict=True)
        fields: dict[str, Any] = {name: list(cells) for name, cells in zip(self._names, columns, strict=True)}
        return tokens[0], {**fields, LINE: [line.number for line in tokens]}

    def _checked(self, line: Line) -> list[str]:
        cells = self._cells(line)
        if len(cells) != len(self._names):
            wanted = f"expected {len(self._names)} columns ({', '.join(self._names)})"
            raise self._lines.bad(f"{wanted} but found {len(cells)}: {line.text[:60]!r}.", line)
        if "" in cells:
            raise self._lines.bad(f"column '{self._names[cells.index('')]}' is empty: {line.text[:60]!r}.", line)
        return cells

    def _cells(self, line: Line) -> list[str]:
        return line.text.split("\t") if self._tabs else [cell for cell in line.text.split(" ") if cell]


def next_sentence(lines: Lines) -> list[Line]:
    """The lines up to the next blank one, one at least. Raises StopIteration at the end.

    Raises BadRowError for a line that cannot be read, or too many lines, when the rest of the sentence is passed over.
    """
    found: list[Line] = []
    damage: BadRowError | None = None
    while True:
        try:
            line = next(lines)
        except StopIteration:
            if not found and damage is None:
                raise
            break
        except BadRowError as problem:
            damage = damage or problem
            continue
        if not is_blank(line):
            if len(found) < MAX_TOKENS:
                found.append(line)
            else:
                damage = damage or lines.bad(
                    f"a sentence begins here and has more than {MAX_TOKENS:,} lines, the limit. Are blank lines "
                    "missing?",
                    found[0],
                )
        elif found or damage:
            break
    if damage is not None:
        raise damage
    return found


def is_blank(line: Line) -> bool:
    """Whether a line ends a sentence: nothing but spaces and tabs."""
    return not line.text.strip(" \t")


def _first(lines: Lines) -> Line | None:
    """The first line that holds a token, or None; nothing is taken from `lines`."""
    passed: list[Line] = []
    found = None
    try:
        for line in lines:
            passed.append(line)
            if not is_blank(line) and not _is_document(line):
                found = line
                break
    except BadRowError as problem:
        raise DataError(str(problem)) from None
    lines.put_back(passed)
    return found


def _is_document(line: Line) -> bool:
    return line.text.startswith(DOCUMENT)


def _names(number: int) -> tuple[str, ...]:
    return ("token", *(f"column{k}" for k in range(2, number)), "tag")


CONLL = Format(
    doc="CoNLL columns: a token a line, a blank line between sentences; a sentence is one record of lists",
    suffixes=(".conll", ".bio", ".iob", ".iob2", ".iobes"),
    open=ConllRows,
    has_header=True,
)
