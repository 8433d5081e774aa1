"""Files of words with their pronunciations: Kaldi's lexicon.txt and lexiconp.txt, CMUdict; or of words alone."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from recurra.base.errors import DataError

# A million words with all their beginnings take about a gigabyte.
MOST_LINES, LONGEST_LINE = 1_000_000, 10_000
# A second way to say a word is marked in CMUdict: read(2). Its remarks: whole lines, or what is behind a word.
_VARIANT = re.compile(r"(.+)\(\d+\)")
_REMARKS = (";;;", "#")
# What no unit is called: a number with a point.
_DECIMAL = re.compile(r"[-+]?\d*\.\d+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line. units: that say its word, () where the file has none

    p: of this way among those of the word; NaN where units begin with something else in its place
    """

    word: str
    units: tuple[str, ...]
    p: float
    line: int


class Lexicon(Collection[str]):
    """The words of a file, with what stands behind them. As a collection: its words, each once, in their order."""

    def __init__(self, path: Path, entries: Sequence[Entry]) -> None:
        self.path, self.entries = path, entries
        self._words = dict.fromkeys(entry.word for entry in entries)

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """A word at the beginning of each line, and behind it, after a tab or spaces, perhaps units that say it.

        Where a number over 0, up to 1, stands between them in every line, or a number with a point in some, it is p of
        this way (lexiconp.txt).
        Raises DataError for a file that is too long, is no text in UTF-8, or holds no word.
        """
        try:
            with path.open(encoding="utf-8-sig") as file:
                rows = list(_rows(path, file))
        except (OSError, UnicodeError) as error:
            raise DataError(f"lexicon: {path}: cannot be read as text in UTF-8: {error}.") from error
        if not rows:
            raise DataError(f"lexicon: {path}: holds no word; expected one at the beginning of each line.")
        weighed = all(len(cells) > 2 and _share(cells[1]) > 0 for _, cells in rows) or any(
            len(cells) > 2 and _DECIMAL.fullmatch(cells[1]) for _, cells in rows
        )
        return cls(path, [_entry(cells, number, weighed=weighed) for number, cells in rows])

    def pronounced(self) -> Sequence[Entry]:
        """Its lines. Raises DataError, with file and line, for the first word without units, or without its p."""
        for entry in self.entries:
            if not entry.units:
                raise DataError(
                    f"lexicon: {self.path}:{entry.line}: '{entry.word[:60]}' has no pronunciation; expected the units "
                    "of the run behind it, such as 'cat K AE T'."
                )
            if math.isnan(entry.p):
                raise DataError(
                    f"lexicon: {self.path}:{entry.line}: '{entry.word[:60]}' has '{entry.units[0][:60]}' before its "
                    "pronunciation; expected its probability, over 0 and up to 1, as other lines have it."
                )
        return self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._words


def _rows(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Lines that say something, with their numbers. Raises DataError."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), ""), 1):
        if len(line) > LONGEST_LINE or number > MOST_LINES:
            raise DataError(
                f"lexicon: {path}:{number}: expected at most {MOST_LINES:,} lines, of {LONGEST_LINE:,} characters; "
                "leave some out."
            )
        cells = line.split()
        if cells and not cells[0].startswith(_REMARKS):
            remark = next((k for k, cell in enumerate(cells) if k and cell.startswith("#")), len(cells))
            yield number, cells[:remark]


def _share(cell: str) -> float:
    """A number over 0, up to 1; NaN for anything else."""
    try:
        found = float(cell)
    except ValueError:
        return math.nan
    return found if 0 < found <= 1 else math.nan


def _entry(cells: list[str], line: int, *, weighed: bool) -> Entry:
    marked = _VARIANT.fullmatch(cells[0])
    word = marked[1] if marked else cells[0]
    p = _share(cells[1]) if weighed and len(cells) > 1 else 1.0
    units = cells[2:] if weighed and p > 0 else cells[1:]
    return Entry(word, tuple(units), p, line)
