"""A row of parallel text: what is read, and what should be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as also
from typing import Any

import numpy as np

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import name_of, normal, parts_of
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.store import ARRAY
from recurra.data.tokenizers import Encoded, Vocabulary, way_of
from recurra.data.tokenizers.encoded import Ids
from recurra.tasks.blank import emptiness, is_blank


@dataclass(frozen=True, slots=True)
class PairRow:
    """What is read and what should be written, before anything is fitted. answers: the reference, then others"""

    source: str
    answers: tuple[str, ...]
    group: str | None
    origin: Origin

    @property
    def key(self) -> str:
        return normal(self.source)

    @property
    def stratum(self) -> str:
        return self.group or ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row should be answered with. text: the reference, in normal form

    answers: every right answer as numbers, the reference first
    copied: numbers of the reference for a model that copies, where they differ from its own
    """

    text: str
    answers: tuple[Encoded, ...]
    group: str | None
    copied: Ids | None = also(compare=False)  # follows from the others

    @property
    def right(self) -> tuple[tuple[str, ...], ...]:
        """The tokens of every right answer."""
        return tuple(answer.tokens for answer in self.answers)

    @property
    def encoded(self) -> Encoded:
        return self.answers[0]

    @property
    def tokens(self) -> tuple[str, ...]:
        return self.answers[0].tokens


@dataclass(frozen=True, slots=True)
class TextPair:
    """A source as its text and the numbers of its tokens, and what is wanted: None where nobody knows.

    copied: numbers of the source as tokens of the target, for a model that copies
    """

    text: str
    encoded: Encoded
    copied: Ids = also(compare=False)
    wanted: Wanted | None
    origin: Origin

    @property
    def source(self) -> tuple[str, ...]:
        """The tokens of the source."""
        return self.encoded.tokens

    @property
    def length(self) -> int:
        """Steps of the longer side; the decoder makes one more than there are tokens, for the end."""
        return max(len(self.encoded), 0 if self.wanted is None else len(self.wanted.encoded) + 1)

    @property
    def key(self) -> str:
        return normal(self.text)

    def digest(self) -> bytes:
        wanted = self.wanted
        said = () if wanted is None else (wanted.text, wanted.group, *(one.digest() for one in wanted.answers))
        return digest_of(self.encoded.digest(), wanted is not None, *said)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not len(self.encoded) or is_blank(self.text)


class PairCodec:
    """Examples as plain values, and back. source, target: vocabularies"""

    def __init__(self, source: Vocabulary, target: Vocabulary) -> None:
        self._source, self._target = way_of(source), way_of(target)

    def to_plain(self, pair: TextPair) -> Any:
        """What follows from other fields is left out."""
        one = pair.wanted
        own = pair.encoded.ids
        copied = None if np.array_equal(own, pair.copied) else ARRAY.to_plain(pair.copied)
        said = one and (
            one.text,
            tuple(map(self._target.to_plain, one.answers)),
            one.group,
            None if one.copied is None else ARRAY.to_plain(one.copied),
        )
        return pair.text, self._source.to_plain(pair.encoded), copied, said

    def from_plain(self, plain: Any, origin: Origin) -> TextPair:
        """The inverse of `to_plain`."""
        text, source, copied, said = plain
        encoded: Encoded = self._source.from_plain(source)
        own = encoded.ids if copied is None else ARRAY.from_plain(copied)
        if said is None:
            return TextPair(text, encoded, own, None, origin)
        reference, answers, group, other = said
        read = tuple(map(self._target.from_plain, answers))
        wanted = Wanted(reference, read, group, None if other is None else ARRAY.from_plain(other))
        return TextPair(text, encoded, own, wanted, origin)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is which; accepted and group may be None. separator: between accepted answers in one cell."""

    source: str
    target: str
    accepted: str | None
    separator: str
    group: str | None

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(name for name in (self.source, self.target, self.accepted, self.group) if name is not None)

    def read(self, record: Record) -> PairRow:
        """A row. Raises DataError, with file and line, for texts that are not there."""
        source = text_of(record, self.source)
        return PairRow(source, self.answers(record), self.group_of(record), record.origin)

    def answers(self, record: Record) -> tuple[str, ...]:
        """The reference, then the other accepted answers, each once. Raises DataError, with file and line."""
        reference = text_of(record, self.target)
        if self.accepted is None:
            return (reference,)
        value = field(record, self.accepted)
        parts = value if isinstance(value, list) else parts_of("" if value is None else str(value), self.separator)
        if not all(isinstance(part, str) for part in parts):
            raise DataError(f"{record.origin}: column '{self.accepted}' holds {as_written(value)}, expected texts.")
        return tuple(dict.fromkeys((reference, *(part.strip() for part in parts if part.strip()))))

    def group_of(self, record: Record) -> str | None:
        """The row's group, as text; "" for a cell without one, None where there are no groups."""
        if self.group is None:
            return None
        value = field(record, self.group)
        return "" if value is None else name_of(str(value))


def text_of(record: Record, column: str, *, empty: bool = False) -> str:
    """A text of a record. Raises DataError, with file and line, for what is no text, or empty where that is refused."""
    value = field(record, column)
    if not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected text.")
    if not empty and (wrong := emptiness(value)):
        raise DataError(
            f"{record.origin}: column '{column}' {wrong}, expected text. Fill it in, or set data.on_error: skip."
        )
    return value


def wanted(example: TextPair) -> Wanted:
    """What is wanted, of an example that has it."""
    assert example.wanted is not None, "examples that are scored know their answer"
    return example.wanted


def all_wanted(examples: Sequence[Any]) -> bool:
    """Whether every example knows its answer."""
    return bool(examples) and all(example.wanted is not None for example in examples)
