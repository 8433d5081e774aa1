"""CoNLL columns: a token a line with its columns, a blank line between sentences. A sentence is one record.

Columns are cut at tabs where the first line has one, else at runs of spaces (CoNLL-2003, CoNLL-2000). Lines that begin
with -DOCSTART- are no tokens (CoNLL-2003). Nor are comments: lines with `#` before the first token of a sentence that
have another number of columns, or say `# key = value`, `# newdoc` or `# newpar`; so `# O` is a token. A file with the
ten columns of CoNLL-U is read as that. Behind `#begin document`, as in CoNLL-2012, the columns behind the eleventh are
left out: their number changes from sentence to sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.base.errors import DataError
from recurra.base.words import counted
from recurra.data.formats.conllu import ConlluRows, is_conllu
from recurra.data.formats.format import Format, ReadOptions, Rows
from recurra.data.formats.lines import BadRowError, Line, Lines
from recurra.data.formats.sentences import LINE, is_blank, next_sentence

DOCUMENT = "-DOCSTART-"
# Lines before the first token that are looked through.
MOST_COMMENTS = 10_000

# What the columns of the shared tasks are: tagging, chunking (CoNLL-2000), names (CoNLL-2003).
_SAYS = re.compile(r"#\s*(?:[\w.:-]+\s*=.*|new(?:doc|par))", re.ASCII)
_2012 = "#begin document"
# CoNLL-2012: eleven columns, then one for each predicate, and the last one for coreference.
NAMES_2012 = (
    "document",
    "part",
    "number",
    "token",
    "pos",
    "parse",
    "lemma",
    "frameset",
    "sense",
    "speaker",
    "tag",
)
NAMES = {1: ("token",), 2: ("token", "tag"), 3: ("token", "pos", "tag"), 4: ("token", "pos", "chunk", "tag")}


class ConllRows:
    """Sentences as lists, one for each column and one of line numbers.

    columns: names for the file's columns; None: `token` first, `tag` last, and for 3 or 4 columns `pos` and `chunk`
    Raises DataError for a column named `line`, or another number of names than the first line has columns.
    """

    def __init__(self, lines: Lines, columns: tuple[str, ...] | None) -> None:
        self._lines = lines
        begin, first = _first(lines)
        of_2012 = columns is None and begin.startswith(_2012)
        self._tabs = first is not None and "\t" in first.text
        number = len(columns or ("token",)) if first is None else len(self._all_cells(first))
        self._names = columns or (NAMES_2012 if of_2012 else NAMES.get(number) or _names(number))
        self._most = len(NAMES_2012) if of_2012 else None
        self.columns = (*self._names, LINE)
        if LINE in self._names:
            raise DataError(f"{lines.path}: a column is called '{LINE}', which holds line numbers; name it otherwise.")

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next sentence's first line and its columns; BadRowError for the first of its lines that is wrong."""
        tokens: Sequence[Line] = ()
        while not tokens:
            tokens = self._tokens([line for line in next_sentence(self._lines) if not _is_document(line)])
        rows = [self._checked(line) for line in tokens]
        columns = zip(*rows, strict=True)
        fields: dict[str, Any] = {name: list(cells) for name, cells in zip(self._names, columns, strict=True)}
        return tokens[0], {**fields, LINE: [line.number for line in tokens]}

    def _checked(self, line: Line) -> list[str]:
        cells = self._cells(line)
        if len(cells) != len(self._names):
            wanted = f"expected {counted(len(self._names), 'column')} ({', '.join(self._names)})"
            raise self._lines.bad(f"{wanted} but found {len(cells)}: {line.text[:60]!r}.", line)
        if "" in cells:
            raise self._lines.bad(f"column '{self._names[cells.index('')]}' is empty: {line.text[:60]!r}.", line)
        return cells

    def _tokens(self, lines: Sequence[Line]) -> Sequence[Line]:
        """The lines behind the comments that a sentence begins with."""
        start = 0
        while start < len(lines) and self._is_comment(lines[start]):
            start += 1
        return lines[start:]

    def _is_comment(self, line: Line) -> bool:
        if not line.text.startswith("#"):
            return False
        return len(self._cells(line)) != len(self._names) or bool(_SAYS.fullmatch(line.text))

    def _cells(self, line: Line) -> list[str]:
        return self._all_cells(line)[: self._most]

    def _all_cells(self, line: Line) -> list[str]:
        return line.text.split("\t") if self._tabs else [cell for cell in line.text.split(" ") if cell]


def _first(lines: Lines) -> tuple[str, Line | None]:
    """The first line that is not blank, and the first that holds a token; nothing is taken from `lines`.

    A line with `#` is none, unless all are such lines.
    """
    passed: list[Line] = []
    found = None
    try:
        for line in lines:
            passed.append(line)
            if not is_blank(line) and not _is_document(line) and not line.text.startswith("#"):
                found = line
            if found or len(passed) == MOST_COMMENTS:
                break
    except BadRowError as problem:
        raise DataError(str(problem)) from None
    lines.put_back(passed)
    real = [line for line in passed if not is_blank(line) and not _is_document(line)]
    return (real[0].text if real else ""), found or next((line for line in real if not _SAYS.match(line.text)), None)


def _is_document(line: Line) -> bool:
    return line.text.startswith(DOCUMENT)


def _names(number: int) -> tuple[str, ...]:
    return ("token", *(f"column{k}" for k in range(2, number)), "tag")


def _opened(lines: Lines, options: ReadOptions) -> Rows:
    first = _first(lines)[1]
    of_conllu = first is not None and options.columns is None and is_conllu(first.text)
    return ConlluRows(lines) if of_conllu else ConllRows(lines, options.columns)


CONLL = Format(
    doc="CoNLL columns: a token a line, a blank line between sentences; a sentence is one record of lists",
    suffixes=(".conll", ".bio", ".iob", ".iob2", ".iobes"),
    open=_opened,
    options=("columns", "encoding"),
)
