"""CoNLL-U, the format of Universal Dependencies: ten columns with tabs between, comments, a blank line at the end.

A sentence is one record. Its words are the lines with a whole number; ranges (3-4, "don't" before "do" "n't") and empty
nodes (5.1) are passed over. Source: universaldependencies.org/format.html, revision 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.data.formats.format import Format
from recurra.data.formats.lines import Line, Lines
from recurra.data.formats.sentences import LINE, SURFACE, next_sentence

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_NO_WORD = re.compile(r"\d+-\d+|\d+\.\d+", re.ASCII)


class ConlluRows:
    """Sentences as lists, one for each of the ten columns and one of line numbers."""

    columns = (*COLUMNS, LINE, SURFACE)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def next_row(self) -> tuple[Line, Mapping[str, Any]]:
        """The next sentence's first word and its columns.

        Raises BadRowError for a line without ten columns, an empty one, or words that are not numbered 1, 2, 3 ...
        """
        lines: list[Line] = []
        while not lines:  # a block of comments alone is no sentence
            lines = [line for line in next_sentence(self._lines) if not line.text.startswith("#")]
        words = [line for line in lines if not _NO_WORD.fullmatch(line.text.partition("\t")[0])]
        if not words:
            raise self._lines.bad("a sentence without words: expected lines numbered 1, 2, 3 ...", lines[0])
        rows = [self._cells(line) for line in words]
        self._check_numbers(words, rows)
        columns = zip(*rows, strict=True)
        fields: dict[str, Any] = {name: list(cells) for name, cells in zip(COLUMNS, columns, strict=True)}
        return words[0], {**fields, LINE: [line.number for line in words], SURFACE: _surface(lines)}

    def _cells(self, line: Line) -> list[str]:
        cells = line.text.split("\t")
        if len(cells) != len(COLUMNS):
            wanted = f"expected 10 columns ({', '.join(COLUMNS)}) with tabs between"
            raise self._lines.bad(f"{wanted} but found {len(cells)}: {line.text[:60]!r}.", line)
        if "" in cells:
            name = COLUMNS[cells.index("")]
            raise self._lines.bad(f"column '{name}' is empty, expected a value or _: {line.text[:60]!r}.", line)
        return cells

    def _check_numbers(self, places: Sequence[Line], rows: Sequence[Sequence[str]]) -> None:
        for number, (line, cells) in enumerate(zip(places, rows, strict=True), start=1):
            if cells[0] != str(number):
                raise self._lines.bad(
                    f"expected word number {number}, got {cells[0][:20]!r}. Is a line or a blank line missing?", line
                )


def _surface(lines: Sequence[Line]) -> list[tuple[str, int, bool]]:
    """The words of the text, a range (3-4) as one: the form, how many words, and whether a space follows."""
    found = []
    covered = 0
    for cells in (line.text.split("\t") for line in lines):
        first, _, last = cells[0].partition("-")
        if not first.isdigit() or len(cells) != len(COLUMNS) or (last and not last.isdigit()):
            continue
        end = int(last or first)
        if end > covered:
            found.append((cells[1], end - covered, "SpaceAfter=No" not in cells[-1].split("|")))
            covered = end
    return found


def is_conllu(line: str) -> bool:
    """Whether the first line of a sentence, comments aside, is one of CoNLL-U: ten columns, the first one a 1."""
    cells = line.split("\t")
    return len(cells) == len(COLUMNS) and bool(re.fullmatch(r"1(?:-\d+)?", cells[0], re.ASCII))


CONLLU = Format(
    doc="CoNLL-U (Universal Dependencies): ten columns, a blank line between sentences; a sentence is one record",
    suffixes=(".conllu",),
    open=lambda lines, options: ConlluRows(lines),
    options=("encoding",),
)
