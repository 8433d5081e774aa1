"""Rows to passages, which are what a split has as its examples: the pieces of a document, in order.

A document is read on from beginning to end, with one state: each row, or all rows of a file. It is in memory
nowhere as a whole: a passage has the numbers of its own tokens, and of those before that are read and not scored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.digest import digest_of
from recurra.base.normal import normal
from recurra.data.tokenizers import EOS, UNK, Encoded, Vocabulary
from recurra.data.tokenizers.encoded import Ids, Unknown
from recurra.tasks.blank import is_blank
from recurra.tasks.letters import Spellings

# The token at the end of a line, where line breaks are tokens. No line holds one.
LINE = "\n"
# Targets of a passage, and steps before them that are read but not scored, so that the first ones have a state to go
# on. Both cost memory and time: with these, a quarter of the steps of an evaluation are read twice.
PIECE, WARM_UP = 512, 128

Rows = Iterable[tuple["TextRow", Encoded]]


@dataclass(frozen=True, slots=True)
class TextRow:
    """The text of a row, before anything is fitted; all rows are of one kind."""

    text: str
    origin: Origin

    @property
    def key(self) -> str:
        return normal(self.text)

    @property
    def stratum(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Targets `start` up to `stop` of a document, as one example.

    encoded: its own tokens, line ends among them        ends: whether its last target is the end of the document
    context: bytes of the numbers of at most WARM_UP tokens before these, and of the one that these follow
    characters: of the rows that end there, with their line breaks, so that all passages have those of the document
    is_blank: nothing of the document can be seen, as far as it has been read
    text: of the document's first row, as it was given; "" of training rows, and of passages that begin later
    before: the unknown tokens of the context, as `Encoded.spelling` has them
    """

    encoded: Encoded
    context: bytes
    start: int
    ends: bool
    characters: int
    is_blank: bool
    text: str
    origin: Origin
    before: bytes = b""

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.encoded.tokens

    @property
    def targets(self) -> int:
        """What is predicted: each token, given all before it, and the end."""
        return len(self.encoded) + self.ends

    @property
    def stop(self) -> int:
        return self.start + self.targets

    @property
    def first(self) -> int:
        """The step that its reading begins with."""
        return max(0, self.start - WARM_UP)

    @property
    def length(self) -> int:
        return self.stop - self.first

    def numbers(self, begin: int) -> Ids:
        """(length + 1,): what stands before each step that is read, and the last target. begin: before a document"""
        context, own = self._read
        return self._with_ends(begin, context.ids, own.ids)

    def spelt(self, begin: int, spellings: Spellings) -> NDArray[Any]:
        """The same with a number for each unknown token too."""
        context, own = (spellings.of(one) for one in self._read)
        return self._with_ends(begin, context, own)

    @property
    def _read(self) -> tuple[Encoded, Encoded]:
        return Encoded(self.encoded.vocabulary, self.context, self.before), self.encoded

    def _with_ends(self, begin: int, context: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
        before = [np.array([begin], own.dtype)] if not self.first else []
        after = [np.array([EOS], own.dtype)] if self.ends else []
        return np.concatenate([*before, context, own, *after])

    @property
    def key(self) -> bytes:
        return self.encoded.key

    def digest(self) -> bytes:
        return digest_of(self.start, self.stop, self.encoded.digest())


def passages(rows: Rows, *, closed: bool, texts: bool) -> Iterator[Passage]:
    """The passages of rows, which are let go: each row is a document, if `closed`, else those of a file that follow one
    another are.

    texts: whether the text of the first row of a document is kept
    """
    if not closed:
        for _, group in groupby(rows, key=lambda pair: pair[0].origin.path):
            yield from _pieces(group, closed, texts)
        return
    for row, encoded in rows:
        if len(encoded) < PIECE:
            yield whole(row, encoded, closed=True, text=row.text if texts else "")
        else:
            yield from _pieces([(row, encoded)], closed, texts)


def whole(row: TextRow, encoded: Encoded, *, closed: bool, text: str) -> Passage:
    """A row as one passage."""
    return Passage(encoded, b"", 0, closed, len(row.text) + 1, is_blank(row.text), text, row.origin)


def _pieces(rows: Rows, closed: bool, texts: bool) -> Iterator[Passage]:
    document = None
    for row, encoded in rows:
        if document is None:
            document = _Document(encoded.vocabulary, row.text if texts else "")
        document.add(row, encoded)
        while len(document) > PIECE:
            yield document.cut(PIECE, ends=False)
    assert document is not None, "a document has a row"
    if closed and len(document) == PIECE:  # the end is a passage of its own, without tokens
        yield document.cut(PIECE, ends=False)
    if closed or len(document):
        yield document.cut(len(document), ends=closed)


class _Document:
    """What has been read of a document, and is in no passage yet."""

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        self._vocabulary, self._text = vocabulary, text
        self._size = vocabulary.dtype.itemsize
        self._data, self._context, self._start = bytearray(), b"", 0
        self._unknown, self._before = Unknown(), Unknown()
        # Of rows that end there or later: tokens of the document up to the end, characters, and where they stand.
        self._rows: deque[tuple[int, int, Origin]] = deque()
        self._is_blank = True

    def __len__(self) -> int:
        """Tokens that are in no passage yet."""
        return len(self._data) // self._size

    def add(self, row: TextRow, encoded: Encoded) -> None:
        """Read a row."""
        self._data += encoded.data
        self._unknown.add(encoded.spelling)
        self._rows.append((self._start + len(self), len(row.text) + 1, row.origin))
        self._is_blank = self._is_blank and is_blank(row.text)

    def cut(self, number: int, *, ends: bool) -> Passage:
        """The next tokens as a passage, and the end of the document, if it ends there."""
        start, stop = self._start, self._start + number
        data = bytes(self._data[: number * self._size])
        del self._data[: number * self._size]
        spelling = self._unknown.taken(self._unknowns(data))
        characters, origin = self._read_up_to(start, stop)
        encoded = Encoded(self._vocabulary, data, spelling)
        found = Passage(
            encoded, self._context, start, ends, characters, self._is_blank, self._text, origin, self._before.spelling
        )
        self._context = (self._context + data)[-(WARM_UP + 1) * self._size :]
        self._before.add(spelling)
        self._before.keep(self._unknowns(self._context))
        self._start, self._text = stop, ""
        return found

    def _unknowns(self, data: bytes) -> int:
        """How many of these tokens are unknown."""
        return int(np.count_nonzero(np.frombuffer(data, self._vocabulary.dtype) == UNK))

    def _read_up_to(self, start: int, stop: int) -> tuple[int, Origin]:
        """Characters of the rows that end behind start and up to stop, and where the one stands that start is in."""
        origin, found = None, 0
        while self._rows and self._rows[0][0] <= stop:
            end, characters, self._last = self._rows.popleft()
            origin = origin or (self._last if end > start else None)
            found += characters
        if self._rows:
            origin = origin or self._rows[0][2]
        return found, origin or self._last
