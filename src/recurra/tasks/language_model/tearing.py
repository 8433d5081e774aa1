"""A text of too few lines to split between them: lines cut in two where a split ends."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from recurra.data.splits import OrderedSplit
from recurra.tasks.language_model.documents import TextRow

# Characters in which white space is looked for, to cut behind it.
LOOK = 1000
# A row counts one character more than it has, for its end, and so does each piece: room for both places.
ROOM = 4


def torn(rows: Sequence[TextRow], rule: OrderedSplit) -> list[TextRow]:
    """The rows, with a piece of its own for each part of a row between the places where splits end."""
    sizes = [len(row.key) + 1 for row in rows]
    places, ends = rule.places(sum(sizes)), accumulate(sizes, initial=0)
    return [
        piece
        for row, (start, end) in zip(rows, pairwise(ends), strict=True)
        for piece in _pieces(row, [(p - start) / (end - start) for p in places if start < p < end])
    ]


def _pieces(row: TextRow, shares: Sequence[float]) -> Iterator[TextRow]:
    text = row.text
    cuts = dict.fromkeys(_place(text, int(share * len(text)) - ROOM) for share in shares)
    for start, end in pairwise([0, *(cut for cut in cuts if cut > 0), len(text)]):
        yield TextRow(text[start:end], row.origin)


def _place(text: str, place: int) -> int:
    """The last place up to this one that is behind white space, or where a character begins."""
    near = max(place - LOOK, 0)
    space = next((k for k in range(place, near, -1) if text[k - 1].isspace()), 0)
    return space or next((k for k in range(place, near, -1) if not unicodedata.combining(text[k])), 0)
