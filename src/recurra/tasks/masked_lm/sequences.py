"""Texts as sequences of pieces: each row by itself, or the rows of a document one behind the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recurra.base.contracts import Origin
from recurra.data.tokenizers import Encoded
from recurra.tasks.language_model.documents import TextRow


@dataclass(frozen=True, slots=True)
class Sequence:
    """Pieces of a text, [CLS] in front and [SEP] behind. to_fill: its [MASK]s are asked for; else some are hidden

    text: as it was given, "" of what is learned from      all_tokens: of the text, of which `length` are read
    ends: where rows end, as numbers of pieces      document: of its split, by number
    other: a sequence of another document, with where its rows end; for pairs, else None
    """

    encoded: Encoded
    to_fill: bool
    is_blank: bool
    text: str
    origin: Origin
    all_tokens: int
    ends: tuple[int, ...] = ()
    document: int = 0
    other: Encoded | None = None
    other_ends: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Pieces that a model reads, with the mark between the two of a pair."""
        return len(self.encoded) + (self.other is not None and len(self.ends) > 1)

    @property
    def key(self) -> bytes:
        return self.encoded.key

    def digest(self) -> bytes:
        return self.encoded.digest()


def sequences(rows: Iterable[tuple[TextRow, Encoded]], longest: int, *, packed: bool) -> Iterator[Sequence]:
    """Sequences of at most `longest` pieces, marks and all; a row that is longer is cut, and nothing is left out.

    rows: with their pieces, in [CLS] and [SEP]
    packed: rows follow one another in a sequence; a blank one ends a document, and so does a file
    """
    packing = _Packing(longest - 2)
    for row, encoded in rows:
        if not packed or len(encoded) <= 2 or not packing.follows(row):
            yield from packing.taken()
            packing.document += 1
        yield from packing.add(row, encoded)
    yield from packing.taken()


class _Packing:
    """Rows that are in no sequence yet. room: pieces between the marks"""

    def __init__(self, room: int) -> None:
        self._room, self._size, self._origin = room, 0, Origin("")
        self._parts: list[Encoded] = []
        self._ends: list[int] = []
        self.document = -1
        self._frame: Encoded | None = None

    def follows(self, row: TextRow) -> bool:
        """Whether a row stands in the same file as those before."""
        return row.origin.path == self._origin.path

    def add(self, row: TextRow, encoded: Encoded) -> Iterator[Sequence]:
        """Put a row behind the others; sequences that are full."""
        self._frame, end = encoded, len(encoded) - 1
        for start in range(1, end, self._room):
            part = encoded.part(start, min(start + self._room, end))
            if self._size + len(part) > self._room:
                yield from self.taken()
            self._origin = self._origin if self._parts else row.origin
            self._parts.append(part)
            self._size += len(part)
        if self._parts:
            self._ends.append(1 + self._size)

    def taken(self) -> Iterator[Sequence]:
        """The rows so far as a sequence; nothing where there are none."""
        if self._parts and self._frame is not None:
            end = len(self._frame)
            whole = joined([self._frame.part(0, 1), *self._parts, self._frame.part(end - 1, end)])
            yield Sequence(whole, False, False, "", self._origin, len(whole), tuple(self._ends), self.document)
        self._parts, self._size, self._ends = [], 0, []


def joined(parts: list[Encoded]) -> Encoded:
    """Texts of one vocabulary as one."""
    spelt = b"\xff".join(part.spelling for part in parts if part.spelling)
    return Encoded(parts[0].vocabulary, b"".join(part.data for part in parts), spelt)
