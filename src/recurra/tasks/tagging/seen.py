"""What is counted of training sentences in one reading, where they need not be in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from recurra.base.contracts import Record
from recurra.data.formats.sentences import LINE
from recurra.data.schemes import Tags
from recurra.data.store import INTS, Fields, Way
from recurra.data.store.stored import key_digest
from recurra.data.tokenizers import Vocabulary
from recurra.data.tokenizers.learned import Unit, guessed_units
from recurra.tasks.tagging.readers import Numbers
from recurra.tasks.tagging.sentences import Sentence, TagRow

T = TypeVar("T")
# Sentences by whose looks columns are told apart, and sentences that teach how a text is cut: of more, some hundred MB
# are in memory, and the cuts hardly change.
LOOKED_AT, TAUGHT = 10_000, 50_000
# Tags of sentences with different ones up to which these are in memory; of more, rows are read again.
FEW = 2**20


class SeenTags:
    """What training rows hold, counted row by row. max_length: words of longer sentences are not counted

    words: of sentences within the limit      kept: how many these are      tags: as the files have them
    spelt: each spelling of a label once      tokens, labels: of the first sentences      units: that teach cuts
    """

    def __init__(self, rows: Collection[TagRow], max_length: int | None, *, cuts: bool) -> None:
        self._rows, self._limit, self._cuts = rows, max_length, cuts
        self.words, self.tags, self.spelt = Counter[str](), Counter[str](), dict[str, None]()
        self.tokens: list[Tags] = []
        self.labels: list[Tags] = []
        self.units: list[tuple[Unit, ...] | list[Unit]] = []
        self.kept = 0
        self._keys = array("B")
        self._few: dict[bytes, Tags] = {}
        self._room = FEW
        for row in rows:
            self._see(row)

    def _see(self, row: TagRow) -> None:
        sentence, tags = row.sentence, row.tags
        if self._limit is None or sentence.length <= self._limit:
            self.kept += 1
            self.words.update(sentence.tokens)
        self.tags.update(tags)
        self.spelt.update(dict.fromkeys(row.spelt))
        self._keys.frombytes(key := key_digest("\n".join(tags)))
        if self._room >= 0 and key not in self._few:
            self._few[key] = tags
            self._room -= len(tags)
            if self._room < 0:
                self._few.clear()
        if len(self.tokens) < LOOKED_AT:
            self.tokens.append(sentence.tokens)
            self.labels.append(tags)
        if self._cuts and not sentence.cut and len(self.units) < TAUGHT:
            self.units.append(sentence.units or guessed_units(sentence.tokens))

    @property
    def different(self) -> Collection[Tags]:
        """The tags of sentences, those of equal tags once."""
        if self._room >= 0:
            return [*self._few.values()]
        keys = np.frombuffer(self._keys, np.uint64)
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        return Different(self._rows, first.tolist())


class Again(Iterable[T]):
    """What a function makes anew for each reading."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[T]:
        return self._make()


class Different(Collection[Tags]):
    """The tags of some rows, to be read again and again. first: of each row, whether it is one of them"""

    def __init__(self, rows: Collection[TagRow], first: list[bool]) -> None:
        self._rows, self._first = rows, first

    def __len__(self) -> int:
        return sum(self._first)

    def __iter__(self) -> Iterator[Tags]:
        return (row.tags for row, first in zip(self._rows, self._first, strict=True) if first)

    def __contains__(self, tags: object) -> bool:
        return any(one == tags for one in self)


_UNITS = Way(lambda units: tuple(map(tuple, units)), lambda plain: tuple(Unit(*one) for one in plain))


def sentences(*vocabularies: Vocabulary) -> Fields[Sentence]:
    """Sentences as plain values, and back. vocabularies: of words, patterns and letters, whose numbers they have"""
    words, patterns, letters = (vocabulary.dtype for vocabulary in vocabularies)

    def numbered(plain: Any) -> Numbers | None:
        if plain is None:
            return None
        w, p, c, sizes = plain
        read = np.frombuffer
        return Numbers(read(w, words), read(p, patterns), read(c, letters), read(sizes, np.uint8))

    numbers = Way(
        lambda one: one and tuple(part.tobytes() for part in (one.words, one.patterns, one.letters, one.sizes)),
        numbered,
    )
    places = Way(
        lambda one: None if one is None else one.tobytes(),
        lambda plain: None if plain is None else np.frombuffer(plain, np.int32),
    )
    return Fields(Sentence, bounds=INTS, units=_UNITS, numbers=numbers, in_spans=places, in_entries=places)


class TagRows:
    """Rows as plain values, and back."""

    _sentences = sentences(*[Vocabulary([])] * 3)

    def to_plain(self, row: TagRow) -> Any:
        """The sentence, what stands beside it, and the lines of its tokens."""
        return self._sentences.to_plain(row.sentence), row.spelt, row.where.fields.get(LINE)

    def from_plain(self, plain: Any, origin: Any) -> TagRow:
        """The inverse of `to_plain`."""
        sentence, spelt, lines = plain
        where = Record({} if lines is None else {LINE: lines}, origin)
        return TagRow(self._sentences.from_plain(sentence, origin), spelt, where)
