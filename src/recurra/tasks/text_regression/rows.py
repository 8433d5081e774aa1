"""Texts with their numbers, as records have them and as examples."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import normal
from recurra.base.words import as_written
from recurra.data.fields import numbers_of
from recurra.data.formats import field
from recurra.data.tokenizers import Encoded, Vocabulary
from recurra.tasks.blank import emptiness, is_blank
from recurra.tasks.text import OneText

# Of a number and of its negative: float32, in which errors are squared, ends at 3.4e38.
LARGEST = 1e18


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A text, or two, and their number: None where nobody knows. second: None where there is none"""

    first: str
    second: str | None
    gold: float | None
    origin: Origin

    @property
    def text(self) -> str:
        """As people read it: the two of a pair in two lines."""
        return self.first if self.second is None else f"{self.first}\n{self.second}"

    @property
    def key(self) -> str:
        return normal(self.text)

    @property
    def stratum(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class ScoredExample:
    """A row as the tokens that are kept. all_tokens: how many it has"""

    row: ScoredRow
    encoded: Encoded
    all_tokens: int

    @property
    def gold(self) -> float | None:
        return self.row.gold

    @property
    def origin(self) -> Origin:
        return self.row.origin

    @property
    def length(self) -> int:
        return len(self.encoded)

    @property
    def key(self) -> str:
        return self.row.key

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.length or is_blank(self.row.text)

    def digest(self) -> bytes:
        return digest_of(self.encoded.digest(), self.gold)


class ScoredCodec:
    """Examples as plain values, and back. vocabulary: whose numbers they have"""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def to_plain(self, one: ScoredExample) -> Any:
        """The texts, the number, and the tokens of an example."""
        row = one.row
        return row.first, row.second, row.gold, one.encoded.data, one.encoded.spelling, one.all_tokens

    def from_plain(self, plain: Any, origin: Origin) -> ScoredExample:
        """The inverse of `to_plain`."""
        first, second, gold, data, spelling, all_tokens = plain
        return ScoredExample(
            ScoredRow(first, second, gold, origin), Encoded(self._vocabulary, data, spelling), all_tokens
        )


class EachText(Collection[OneText]):
    """The texts of rows, one by one, to be gone through again and again. number: of each row"""

    def __init__(self, rows: Collection[ScoredRow], number: int) -> None:
        self._rows, self._number = rows, number

    def __len__(self) -> int:
        return len(self._rows) * self._number

    def __iter__(self) -> Iterator[OneText]:
        for row in self._rows:
            yield OneText(row.first)
            if row.second is not None:
                yield OneText(row.second)

    def __contains__(self, one: object) -> bool:
        return any(text == one for text in self)


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """Which column is which."""

    text: str
    pair: str | None
    target: str

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,) if self.pair is None else (self.text, self.pair)

    def read(self, record: Record) -> ScoredRow:
        """A row to learn from. Raises DataError, with file and line, for what is none."""
        for name in self.texts:
            if wrong := emptiness(_text(record, name)):
                raise DataError(
                    f"{record.origin}: column '{name}' {wrong}, expected text. Fill it in, or set data.on_error: skip."
                )
        return self.unscored(record, _number(record, self.target))

    def unscored(self, record: Record, gold: float | None = None) -> ScoredRow:
        """The texts of a record, which may be blank. Raises DataError for what is no text."""
        second = None if self.pair is None else _text(record, self.pair)
        return ScoredRow(_text(record, self.text), second, gold, record.origin)


def _text(record: Record, column: str) -> str:
    value = field(record, column)
    if not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected text.")
    return value


def _number(record: Record, column: str) -> float:
    value = field(record, column)
    found = numbers_of(value, record.origin, column).ravel()
    if len(found) != 1 or not abs(found[0]) <= LARGEST:
        raise DataError(
            f"{record.origin}: column '{column}' holds {as_written(value)}, expected a number, of {LARGEST:g} at most. "
            "Fill it in, or set data.on_error: skip."
        )
    return float(found[0])
