"""Which column of a file of tokens is which, told by what stands in it: numbers in order, words, tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from recurra.data.schemes import PLAIN, Reading, Tags, detected, read_default
from recurra.data.spelling import OUTSIDE

# Share of sentences that must agree: files have mistakes.
MOST = 0.9
# Words are more various than tags, as soon as there are a few tokens. The first column is taken for the words if it has
# that share of the different values of the most various one.
WORDS = 0.7
# A column with less than this share of another one's different values holds no words beside it, and one with more of
# them is rather of lemmas than of tags.
AS_VARIOUS = 0.5
FEW_TOKENS = 20
# A file with so few tokens may have half as many tags as words.
FEW_FOR_TAGS = 200


@dataclass(frozen=True, slots=True)
class Column:
    """What stands in a column, over all sentences.

    numbers: numbers in order, 1, 2, 3 ...      amounts: numbers at all      constant: one value a sentence
    reading: how it would be read as tags; spans: how many there are then, with their labels
    """

    name: str
    place: int
    total: int
    counts: Counter[str]
    numbers: bool
    amounts: bool
    constant: bool
    reading: Reading
    spans: Counter[str]

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def outside(self) -> float:
        """The share of its most frequent value, 0..1."""
        return max(self.counts.values(), default=0) / max(self.total, 1)

    @property
    def has_spans(self) -> bool:
        return self.reading.scheme != PLAIN

    @property
    def wordless(self) -> bool:
        """Whether it cannot hold the tokens."""
        return self.numbers or self.amounts or self.constant or self.has_spans or self.distinct < 2

    def __str__(self) -> str:
        return f"column {self.place} ('{self.name}')"


class Roles(NamedTuple):
    """The columns of tokens and of tags, and those that could be tags as well."""

    tokens: Column
    tags: Column
    others: tuple[Column, ...]


def column_of(name: str, place: int, rows: Sequence[Tags]) -> Column:
    """The look of a column whose cells are these, sentence by sentence."""
    counts = Counter(cell for row in rows for cell in row)
    reading = detected(list(set(map(tuple, rows))))
    spans: Counter[str] = Counter()
    if reading.scheme != PLAIN:
        spans.update(span.label for row in rows for span in read_default(reading.spelling.read(row)))
    longer = [row for row in rows if len(row) > 1]
    return Column(
        name,
        place,
        sum(counts.values()),
        counts,
        in_order(rows),
        sum(count for cell, count in counts.items() if _is_number(cell)) > MOST * sum(counts.values()),
        bool(longer) and sum(len(set(row)) == 1 for row in longer) == len(longer) and len(counts) > 1,
        reading,
        spans,
    )


def roles(columns: Sequence[Column]) -> Roles | None:
    """Which column is which; None where no two columns are tokens and tags.

    The first column is the tokens and the last one the tags, as in the files of the shared tasks, unless what stands
    there speaks against it.
    """
    words = [one for one in columns if not one.wordless]
    if not words:
        return None
    tokens = words[0]
    various = max(one.distinct for one in words)
    if tokens.total >= FEW_TOKENS:
        tokens = next(one for one in words if one.distinct >= WORDS * various)
    rest = [one for one in columns if one is not tokens and one.distinct > 1 and not (one.numbers or one.constant)]
    maybe = [one for one in rest if _looks_like_tags(one, tokens)] or rest
    if not maybe:
        return None
    spans = [one for one in maybe if one.has_spans]
    # The tags of most interest stand farthest from the words: on the right, or where the words are last, on the left.
    far = -1 if any(one.place > tokens.place for one in maybe) else 0
    best = _deepest(spans, spans[far]) if spans else maybe[far]
    return Roles(tokens, best, tuple(one for one in maybe if one is not best))


def in_order(rows: Sequence[Tags]) -> bool:
    """Whether the cells are numbers that count up, from sentence to sentence or through the file."""
    longer = [row for row in rows if len(row) > 1]
    good = sum(_counts_up(row) for row in longer)
    return bool(longer) and good >= MOST * len(longer)


def looks_swapped(tokens: Column, tags: Column) -> bool:
    """Whether the tokens are rather tags and the tags words: tags of spans as tokens, or far fewer words than tags."""
    if tokens.has_spans and not tags.has_spans and tokens.reading.fits >= MOST and OUTSIDE in tokens.counts:
        return True
    return not tags.has_spans and tokens.total >= FEW_TOKENS and tokens.distinct < AS_VARIOUS * tags.distinct


def _looks_like_tags(column: Column, tokens: Column) -> bool:
    if column.has_spans:
        return bool(column.spans)
    few = tokens.total < FEW_FOR_TAGS or column.distinct < AS_VARIOUS * tokens.distinct
    return few and not column.amounts


def _deepest(columns: Sequence[Column], usual: Column) -> Column:
    """The usual column; of levels of one annotation, which share labels with it, the one with the most spans."""
    levels = [usual, *(one for one in columns if one is not usual and set(one.spans) & set(usual.spans))]
    return max(levels, key=lambda one: sum(one.spans.values()))


def _counts_up(row: Tags) -> bool:
    if not all(_is_number(cell) and len(cell) < 10 for cell in row):
        return False
    return all(int(after) == int(before) + 1 for before, after in pairwise(row))


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdigit()
