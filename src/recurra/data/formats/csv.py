"""Comma-separated values as in RFC 4180: a quoted cell may hold commas, doubled quotes and line breaks.

Spreadsheets of countries that write 1,5 put semicolons in their place, and may say so in a first line (`sep=;`).
Without it, a first row that has no comma, but semicolons, tabs or bars, shows what stands between cells. In a file
that is named .tsv it is a tab.

Written out here, because the standard library's reader cannot say on which line a quote was opened, has a
process-wide limit on the length of a cell, and reads to the end of the file when a quote is never closed.
As there, a quote inside a cell that does not begin with one is an ordinary character.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats.format import Format, ReadOptions
from recurra.data.formats.lines import MAX_LINE_BYTES, BadRowError, Line, Lines, open_lines
from recurra.data.formats.table import TableRows

# The apostrophe keeps spreadsheets from running the text (CWE-1236). Alone it would not do for the way back: posts
# begin with '@name. Hardly any text begins with an apostrophe, a backslash and a sign of a formula.
GUARD = "'\\"
_RUNS = re.compile(r"(?:'\\)*(?:[\t\r]|\s*[-=+@\uff0d\uff1d\uff0b\uff20])")  # the last four: full-width forms
_NUMBER = re.compile(r"[-+][0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")


def guarded(text: str) -> str:
    """`text` for a cell that no spreadsheet runs as a formula: with GUARD in front if it begins like one.

    A number such as -1 is none. `unguarded` gives every text back.
    """
    return GUARD + text if _is_formula(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` made this cell of."""
    return cell[len(GUARD) :] if cell.startswith(GUARD) and _is_formula(cell[len(GUARD) :]) else cell


def _is_formula(text: str) -> bool:
    """Also for a text that is guarded already, which has to be told from one that is not."""
    return _RUNS.match(text) is not None and not _NUMBER.fullmatch(text)


SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
# What people write for a sign that YAML makes hard to write.
NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "space": " "}
_TAB_CELL = re.compile(r'("(?:[^"]|"")*"|[^"\t\n]*)(\t|\n|\Z)')
# Lines that show whether a file of tabs has quotes around its cells.
LOOK = 1000
TAB_SUFFIXES = (".tsv", ".tab")
_TOLD = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"?')
_DECIMAL = re.compile(r"(?<=[0-9]),(?=[0-9])")
_TYPOGRAPHIC = re.compile(r"\s*[“„«‹”]")


class CsvCells:
    """The cells of a file's rows.

    number: how many a row has, where that is known before the first one      separator: None: found in the first row
    said: what was found, unless it is a comma
    """

    def __init__(self, number: int | None = None, separator: str | None = None) -> None:
        self._hopeless: _Hopeless | None = None
        self._number = number
        self._given = separator
        self._separator = ""
        self.said: list[str] = []

    def __call__(self, lines: Lines) -> tuple[Line, list[str]]:
        """The next row's first line and its cells, without guards; blank lines are passed over.

        Raises BadRowError for a quote that is never closed, or text behind a closing quote; the line that opened the
        row is then the only one that is lost, for a stray quote must not swallow the rows after it.
        """
        line = _not_blank(lines)
        if not self._separator:
            line = self._told(lines, line)
        if '"' in line.text:
            row = _QuotedRow(lines, line, self._hopeless, self._separator)
            try:
                return line, [unguarded(cell) for cell in row.cells()]
            finally:
                self._hopeless = row.hopeless
        cells = line.text.split(self._separator)
        return line, [unguarded(cell) for cell in cells] if GUARD in line.text else cells

    def hint(self, cells: Sequence[str]) -> str:
        """What may be wrong with a row of too many cells, with a leading space; "" where nothing is seen."""
        if any(map(_TYPOGRAPHIC.match, cells)):
            return ' The quotes “ and ” are signs like any other: put " around a cell.'
        return ""

    def _told(self, lines: Lines, line: Line) -> Line:
        """The first row, when it is known what stands between its cells."""
        told = _TOLD.fullmatch(line.text) if line.number == 1 else None
        if told or self._given:
            self._separator = self._given or (told[1] if told else "")
            self._say("its first line says" if not self._given else "")
            return _not_blank(lines) if told else line
        named_tab = Path(lines.path.lower().removesuffix(".gz")).suffix in TAB_SUFFIXES
        self._separator = "\t" if named_tab and "\t" in line.text else separator_of(line.text, self._number)
        self._say("the file is named .tsv" if named_tab else "it stands in its first row, and no comma")
        return line

    def _say(self, why: str) -> None:
        if why and self._separator != ",":
            sign = SEPARATORS.get(self._separator, repr(self._separator))
            self.said.append(f"{sign} ends a cell, as {why}; data.delimiter chooses another.")


def separator_of(row: str, number: int | None = None) -> str:
    """What stands between the cells of a first row: a comma, unless there is none and something else is.

    number: how many cells there are. The comma of a decimal number counts only where nothing else makes so many.
    """
    bare = _QUOTED.sub("", row)
    counts = {sign: bare.count(sign) for sign in SEPARATORS}
    if number is None:
        return "," if counts[","] else max(counts, key=counts.__getitem__)
    fits = [sign for sign, count in counts.items() if count == number - 1]
    if fits[1:] and "," in fits and not _DECIMAL.sub("", bare).count(","):
        fits.remove(",")
    return fits[0] if fits else ","


def _not_blank(lines: Lines) -> Line:
    line = next(lines)
    while not line.text:
        line = next(lines)
    return line


class _Hopeless(NamedTuple):
    """A row of line `first` that was given up: at the beginning of each line behind it, to `last`, quotes are open.

    So will each row that begins behind it and goes on to one of these lines, and it will end as that one did (or, where
    that one was too long, be too long or nearly so). Without this, a file in which every line opens a quote is read to
    its end from each of them.
    """

    first: int
    last: int
    message: str


class _QuotedRow:
    """One row with quotes in it, which may go on over several lines."""

    def __init__(self, lines: Lines, first: Line, hopeless: _Hopeless | None, separator: str) -> None:
        self._lines = lines
        self._separator = separator
        self._line, self._first = first, first.number
        self.hopeless = hopeless
        self._at = 0
        self._taken: list[Line | BadRowError] = []  # the lines after the first one
        self._size = len(first.text)
        self._damage: BadRowError | None = None

    def cells(self) -> list[str]:
        cells: list[str] = []
        while True:
            cells.append(self._quoted() if self._line.text.startswith('"', self._at) else self._plain())
            if self._at == len(self._line.text):
                break
            self._at += 1  # the separator
        if self._damage:  # a line inside a cell could not be read: the row is bad, but its end is known
            raise self._damage
        return cells

    def _plain(self) -> str:
        start, end = self._at, self._line.text.find(self._separator, self._at)
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
        if at < len(self._line.text) and self._line.text[at] != self._separator:
            self._give_up(
                f"expected {SEPARATORS.get(self._separator, repr(self._separator))} after the quote that closes at "
                f"line {self._line.number}, got {self._line.text[at]!r}. Write a quote inside a quoted cell twice.",
                opened,
            )
        self._at = at

    def _next_line(self, opened: Line) -> None:
        if self.hopeless and self.hopeless.first < self._first and self._line.number < self.hopeless.last:
            self._give_up(self.hopeless.message, opened)
        try:
            line = next(self._lines)
            self._taken.append(line)
        except StopIteration:
            self._give_up("a quote opens here and is never closed.", opened)
        except BadRowError as damage:
            self._damage = self._damage or damage
            self._taken.append(damage)
            line = damage.line
        self._line = line
        self._size += len(line.text) + 1
        if self._size > MAX_LINE_BYTES:
            self._give_up(f"a quote opens here and is not closed within {MAX_LINE_BYTES:,} bytes, the limit.", opened)

    def _give_up(self, message: str, opened: Line) -> NoReturn:
        if self._taken:
            self.hopeless = _Hopeless(self._first, self._line.number, message)
        self._lines.put_back(self._taken)
        raise self._lines.bad(message, opened)


def _rows(lines: Lines, options: ReadOptions) -> TableRows:
    number = None if options.columns is None else len(options.columns)
    cells = CsvCells(number, None if options.delimiter is None else delimiter_of(options.delimiter))
    rows = TableRows(lines, options.columns, cells, cells.hint)
    rows.said = cells.said
    return rows


def delimiter_of(word: str) -> str:
    """The sign that `data.delimiter` means. Raises ConfigError for what cannot end a cell."""
    sign = NAMES.get(word.lower(), word)
    if len(sign) != 1 or sign in '"\r\n\0':
        raise ConfigError(f"delimiter: expected one sign, or one of {', '.join(NAMES)}; got {word!r}.")
    return sign


def _opened(path: Path, options: ReadOptions) -> AbstractContextManager[Lines]:
    return open_lines(path, encoding=options.encoding, guess=True)


def _takes(path: Path) -> str:
    """A .tsv file whose cells are quoted as CSV's are: pandas writes so where a cell holds a quote or a line break."""
    if Path(str(path).lower().removesuffix(".gz")).suffix not in TAB_SUFFIXES or not path.is_file():
        return ""
    try:
        with open_lines(path, guess=True) as lines:
            head = [line.text for line in islice(lines, LOOK)]
    except DataError:  # whoever reads the file says it better
        return ""
    return "quotes stand around cells of it that need them" if _quoted_as_needed(head) else ""


def _quoted_as_needed(head: Sequence[str]) -> bool:
    """Whether each cell with a quote has quotes around it, inner ones doubled, and one holds a quote, tab or line end.

    In TSV a quote is a sign like any other, and such a file has cells with a single one.
    """
    text = "\n".join(head)
    at, cells, width, needed = 0, 0, 0, False
    while at < len(text):
        found = _TAB_CELL.match(text, at)
        if found is None:  # a cell that goes on behind what was read is no evidence against it
            return needed and len(head) == LOOK and text.count('"', at) % 2 == 1
        cell, cells = found[1], cells + 1
        needed = needed or (cell.startswith('"') and any(sign in cell[1:-1] for sign in ('""', "\t", "\n")))
        if found[2] != "\t":
            width = width or cells
            if cells != width and (cell or cells > 1):
                return False
            cells = 0
        at = found.end()
    return needed


CSV = Format(
    doc="comma-separated values; cells may be quoted and hold line breaks (RFC 4180)",
    suffixes=(".csv",),
    open=_rows,
    options=("columns", "paths", "delimiter", "encoding"),
    opened=_opened,
    takes=_takes,
    marked=True,
)
