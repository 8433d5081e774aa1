"""Rows to documents, and documents to passages, which are what a split has as its examples."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise, zip_longest

from recurra.base.contracts import Origin
from recurra.base.digest import digest_of
from recurra.base.normal import normal
from recurra.data.tokenizers import Encoded, Growing
from recurra.data.tokenizers import joined as joined_texts
from recurra.tasks.blank import is_blank

# The token at the end of a line, where line breaks are tokens. No line holds one.
LINE = "\n"
# Targets of a passage, and steps before them that are read but not scored, so that the first ones have a state to go
# on. Both cost memory and time: with these, a quarter of the steps of an evaluation are read twice.
PIECE, WARM_UP = 512, 128


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


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A text that is read on from beginning to end, with one state.

    encoded: the tokens of all rows, line ends among them        closed: whether an end follows, one target more
    ends: places after each row's last token        characters: of each row, its line break among them
    path: of the file        lines: of the rows in it, 0 where there are none        is_blank: nothing of it can be seen
    text: of the first row, as it was given, for answers and examples; of training rows it is not kept, and ""
    """

    encoded: Encoded
    closed: bool
    ends: Sequence[int]
    characters: Sequence[int]
    path: str
    lines: Sequence[int]
    is_blank: bool
    text: str = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.encoded.tokens

    @property
    def targets(self) -> int:
        """What is predicted: each token, given all before it, and the end."""
        return len(self.encoded) + self.closed


@dataclass(frozen=True, slots=True)
class Passage:
    """Targets `start` up to `stop` of a document, as one example. characters: of the rows that end there, with their
    line breaks, so that those of all passages are those of the document. spelling: of its unknown tokens"""

    document: Document
    start: int
    stop: int
    characters: int
    spelling: bytes

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
        document = self.document
        line = document.lines[min(bisect_right(document.ends, self.start), len(document.lines) - 1)]
        return Origin(document.path, line or None)

    @property
    def encoded(self) -> Encoded:
        """Its own tokens."""
        whole = self.document.encoded
        size = whole.vocabulary.dtype.itemsize
        return Encoded(whole.vocabulary, whole.data[self.start * size : self.stop * size], self.spelling)

    @property
    def key(self) -> bytes:
        return self.encoded.key

    def digest(self) -> bytes:
        return digest_of(self.start, self.stop, self.encoded.digest())

    @property
    def is_blank(self) -> bool:
        """Whether nothing of its text can be seen."""
        return self.document.is_blank


class TextRows:
    """Rows as plain values, and back."""

    def to_plain(self, row: TextRow) -> str:
        return row.text

    def from_plain(self, plain: str, origin: Origin) -> TextRow:
        return TextRow(plain, origin)


def documents(rows: Iterable[tuple[TextRow, Encoded]], *, closed: bool, texts: bool) -> Iterator[Document]:
    """The documents of rows, which are let go: each row, if `closed`, or those of a file that follow one another.

    texts: whether the text of the first row is kept
    """
    if closed:
        return (_document([row], closed, texts) for row in rows)
    groups = groupby(rows, key=lambda pair: pair[0].origin.path)
    return (_document(group, closed, texts) for _, group in groups)


def _document(rows: Iterable[tuple[TextRow, Encoded]], closed: bool, texts: bool) -> Document:
    """The document of one row or more of a file."""
    ends, characters, lines = array("q"), array("q"), array("q")
    whole, first, blank = None, None, True
    for row, encoded in rows:
        whole, first = whole or Growing(encoded.vocabulary), first or row
        ends.append(whole.add(encoded))
        characters.append(len(row.text) + 1)
        lines.append(row.origin.line or 0)
        blank = blank and is_blank(row.text)
    assert whole is not None, "a document has a row"
    assert first is not None
    kept = [_kept(some, len(some)) for some in (ends, characters, lines)]
    text = first.text if texts else ""
    return Document(whole.done(), closed, kept[0], kept[1], first.origin.path, kept[2], blank, text)


def whole(document: Document) -> Passage:
    """A document as one passage."""
    return Passage(document, 0, document.targets, sum(document.characters), document.encoded.spelling)


def joined(passages: Sequence[Passage]) -> list[Document]:
    """The documents of passages; those of one file that follow one another become one document."""
    groups = groupby((p.document for p in passages), key=lambda d: d.path)
    return [_join(list(group)) for _, group in groups]


def pieces(document: Document) -> list[Passage]:
    """A document as passages of at most PIECE targets."""
    characters = [0, *accumulate(document.characters)]

    def before(place: int) -> int:
        return characters[bisect_right(document.ends, place)] if place else 0

    bounds = pairwise([*range(0, document.targets, PIECE), document.targets])
    parts = (part.spelling for part in document.encoded.pieces(PIECE))
    return [  # an end may be a passage of its own, without tokens
        Passage(document, start, stop, before(stop) - before(start), spelling)
        for (start, stop), spelling in zip_longest(bounds, parts, fillvalue=b"")
    ]


def _join(documents: Sequence[Document]) -> Document:
    if len(documents) == 1:
        return documents[0]
    offsets = accumulate((len(d.encoded) for d in documents), initial=0)
    number = sum(len(d.ends) for d in documents)
    return Document(
        joined_texts(documents[0].encoded.vocabulary, (d.encoded for d in documents)),
        documents[-1].closed,
        _kept((offset + end for d, offset in zip(documents, offsets, strict=False) for end in d.ends), number),
        _kept(chain.from_iterable(d.characters for d in documents), number),
        documents[0].path,
        _kept(chain.from_iterable(d.lines for d in documents), number),
        all(d.is_blank for d in documents),
        documents[0].text,
    )


def _kept(numbers: Iterable[int], number: int) -> Sequence[int]:
    """Whole numbers in eight bytes each; a single one as a tuple, which is smaller than an array."""
    return tuple(numbers) if number == 1 else array("q", numbers)
