"""Pictures with their captions: as a file has them, and as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.tokenizers import Encoded
from recurra.tasks.blank import emptiness
from recurra.tasks.picture_reader import PictureReader, Shown

# Steps of which lengths are multiples.
COARSE = 16


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """A picture and what is said of it, before anything is fitted."""

    shown: Shown
    captions: tuple[str, ...]
    group: str

    @property
    def origin(self) -> Origin:
        return self.shown.origin

    @property
    def key(self) -> str:
        """Equal pictures stay in one split, and so do those of one group."""
        return self.group or self.shown.digest.hex()

    @property
    def stratum(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class CaptionExample:
    """A picture as the model reads it. captions: all that are right, None where nobody knows; encoded: as numbers"""

    shown: Shown
    captions: tuple[str, ...] | None
    encoded: tuple[Encoded, ...]

    @property
    def origin(self) -> Origin:
        return self.shown.origin

    @property
    def length(self) -> int:
        """Steps of the decoder for the longest caption, its end among them, in sixteens.

        Batches of captions of one length would each be of one kind of picture, and pictures cost more than padding.
        """
        return -(-(max(map(len, self.encoded), default=0) + 1) // COARSE) * COARSE

    @property
    def key(self) -> str:
        return self.shown.digest.hex()

    def digest(self) -> bytes:
        return digest_of(self.shown.digest, self.captions)

    @property
    def picture(self) -> str | None:
        """Its file, where it has one."""
        source = self.shown.source
        return str(source) if not isinstance(source, bytes) and hasattr(source, "name") else None

    @property
    def is_blank(self) -> bool:
        return False


def read_row(record: Record, reader: PictureReader, caption: str, group: str | None) -> CaptionRow:
    """A picture with its captions. Raises DataError, with file and line, if nothing can be learned from it."""
    captions = read_captions(record, caption)
    said = None if group is None else field(record, group)
    return CaptionRow(reader.read(record), captions, "" if said is None else str(said))


def read_captions(record: Record, column: str) -> tuple[str, ...]:
    """The captions in a field, a text or a list of texts, each once. Raises DataError for anything else."""
    value = field(record, column)
    several = value if isinstance(value, list | tuple) else [value]
    if not several:
        raise DataError(f"{record.origin}: column '{column}' has no caption, expected one at least.")
    for one in several:
        if not isinstance(one, str):
            raise DataError(f"{record.origin}: column '{column}' holds {as_written(one)}, expected a caption.")
        if wrong := emptiness(one):
            raise DataError(
                f"{record.origin}: column '{column}' {wrong}, expected a caption. Fill it in, or set "
                "data.on_error: skip."
            )
    return tuple(dict.fromkeys(several))
