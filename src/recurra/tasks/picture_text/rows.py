"""Pictures with a text and what both are together: as a file has them, and as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.normal import normal
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.picture_features import PictureFeatures
from recurra.data.tokenizers import Encoded
from recurra.tasks.blank import emptiness, is_blank
from recurra.tasks.picture_reader import Shown


@dataclass(frozen=True, slots=True)
class PictureTextRow:
    """A picture, a text and the label, before anything is fitted. spelt: the label as the file has it"""

    shown: Shown
    text: str
    gold: Any
    spelt: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        return self.shown.origin

    @property
    def key(self) -> str:
        """Equal pairs stay in one split."""
        return f"{self.shown.digest.hex()} {normal(self.text)}"

    @property
    def stratum(self) -> str:
        return str(self.gold)


@dataclass(frozen=True, slots=True)
class PictureTextExample:
    """The same as the model reads it. gold: None where nobody knows"""

    shown: Shown
    text: str
    encoded: Encoded
    gold: Any

    @property
    def origin(self) -> Origin:
        return self.shown.origin

    @property
    def length(self) -> int:
        """Steps of both; of pixels only the model knows how many there are, as many in each row."""
        return len(self.encoded) + (self.shown.places if isinstance(self.shown, PictureFeatures) else 0)

    @property
    def key(self) -> str:
        return f"{self.shown.digest.hex()} {normal(self.text)}"

    def digest(self) -> bytes:
        return digest_of(self.shown.digest, self.encoded.digest(), self.gold)

    @property
    def is_blank(self) -> bool:
        """Whether there is no text to read."""
        return not len(self.encoded) or is_blank(self.text)


def read_text(record: Record, column: str, *, empty: bool = False) -> str:
    """The text of a record. Raises DataError, with file and line, for what is none. empty: it may be blank"""
    value = field(record, column)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{record.origin}: column '{column}' holds {as_written(value)}, expected a text.")
    if not empty and (wrong := emptiness(value)):
        raise DataError(
            f"{record.origin}: column '{column}' {wrong}, expected a text. Fill it in, or set data.on_error: skip."
        )
    return value
