"""Rows to documents, and documents to passages, which are what a split has as its examples."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from recurra.base.contracts import Origin
from recurra.tasks.blank import is_blank

# The token at the end of a line, where line breaks are tokens. No line holds one.
LINE = "\n"
# Targets of a passage, and steps before them that are read but not scored, so that the first ones have a state to go
# on. Both cost memory and time: with these, a quarter of the steps of an evaluation are read twice.
PIECE, WARM_UP = 512, 128


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A text that is read on from beginning to end, with one state.

    tokens: of all rows, line ends among them        closed: whether an end follows, one target more
    texts: the rows as the file has them        ends: places after each row's last token        origins: of the rows
    """

    tokens: tuple[str, ...]
    closed: bool
    texts: tuple[str, ...]
    ends: tuple[int, ...]
    origins: tuple[Origin, ...]

    @property
    def targets(self) -> int:
        """What is predicted: each token, given all before it, and the end."""
        return len(self.tokens) + self.closed


@dataclass(frozen=True, slots=True)
class Passage:
    """Targets `start` up to `stop` of a document, as one example. characters: of the rows that end there, with their
    line breaks, so that those of all passages are those of the document."""

    document: Document
    start: int
    stop: int
    characters: int

    @property
    def targets(self) -> int:
        return self.stop - self.start

    @property
    def first(self) -> int:
        """The step that its reading begins with."""
        return max(0, self.start - WARM_UP)

    @property
    def length(self) -> int:
        return self.stop - self.first

    @property
    def origin(self) -> Origin:
        return self.document.origins[min(bisect_right(self.document.ends, self.start), len(self.document.origins) - 1)]

    @property
    def key(self) -> str:
        return " ".join(self.document.tokens[self.start : self.stop])

    @property
    def content(self) -> object:
        return (self.start, self.stop, self.document.tokens[self.start : self.stop])

    @property
    def is_blank(self) -> bool:
        """Whether nothing of its text can be seen."""
        return all(map(is_blank, self.document.texts))


def whole(document: Document) -> Passage:
    """A document as one passage."""
    return Passage(document, 0, document.targets, sum(len(text) + 1 for text in document.texts))


def joined(passages: Sequence[Passage]) -> list[Document]:
    """The documents of passages; rows of one file that follow one another become one document."""
    groups = groupby((p.document for p in passages), key=lambda d: d.origins[0].path)
    return [_join(list(group)) for _, group in groups]


def pieces(document: Document) -> list[Passage]:
    """A document as passages of at most PIECE targets."""
    characters = [0, *accumulate(len(text) + 1 for text in document.texts)]

    def before(place: int) -> int:
        return characters[bisect_right(document.ends, place)] if place else 0

    bounds = [*range(0, document.targets, PIECE), document.targets]
    return [Passage(document, start, stop, before(stop) - before(start)) for start, stop in pairwise(bounds)]


def _join(documents: Sequence[Document]) -> Document:
    offsets = accumulate((len(d.tokens) for d in documents), initial=0)
    return Document(
        tuple(token for d in documents for token in d.tokens),
        documents[-1].closed,
        tuple(text for d in documents for text in d.texts),
        tuple(offset + end for d, offset in zip(documents, offsets, strict=False) for end in d.ends),
        tuple(origin for d in documents for origin in d.origins),
    )
