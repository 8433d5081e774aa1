"""What the configurations of tasks that read series have in common: which numbers are read, and how."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.option import OneOf, Opt
from recurra.config import Section, build
from recurra.data.fields import Field
from recurra.data.films import Frames, frames_of
from recurra.data.formats import field
from recurra.data.joints import Skeleton
from recurra.data.movements import Movement
from recurra.data.scaling import Scaler, Scaling
from recurra.data.spectra import SPECTRA, Spectrum
from recurra.data.store import ARRAY, Codec, Fields
from recurra.tasks.series_columns import format_of
from recurra.tasks.series_reader import (
    Keep,
    Missing,
    Raw,
    SeriesReader,
    features_of,
    flat,
    place_of,
    raw_series,
    seen,
    steps_of,
)
from recurra.tasks.series_sounds import SoundCodec, SoundRow, read_sound


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """Numbers (T, F) and what they should be, before anything is fitted. spelt: the labels as the file has them"""

    raw: Raw
    gold: Any
    stratum: str
    spelt: tuple[str, ...]
    origin: Origin

    @property
    def key(self) -> str:
        return digest_of(self.raw).hex()


AnyRow = SeriesRow | SoundRow


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesPlan(ABC):
    """The options that say which numbers are read. A task adds `wanted`, and options of its own."""

    values: Annotated[
        str | tuple[str, ...],
        Opt("column of numbers, one a step or a list for each step; or several columns, side by side", named=True),
    ] = "values"
    sound: Annotated[
        Section | Mapping[str, Any] | str | None,
        OneOf("values are sound files, read as log-mel features by this definition; null: they are numbers", SPECTRA),
    ] = None
    scaling: Annotated[
        Scaling,
        Opt(
            "standard: by mean and deviation in the training data; series: by those of the series itself; range: to "
            "0..1 by the least and the largest number in the training data"
        ),
    ] = "standard"
    missing: Annotated[
        Missing, Opt("numbers that are missing; mask: read as 0, with a mark beside that tells what is there")
    ] = "refuse"
    max_length: Annotated[int | None, Opt("steps of a series that are read; null is no limit", ge=1)] = None
    keep: Annotated[Keep, Opt("which end of a longer series is read")] = "start"
    flatten: Annotated[bool, Opt("all steps of a row are one vector; every row has as many")] = False

    @abstractmethod
    def wanted(self, record: Record) -> tuple[Any, str, tuple[str, ...]]:
        """What a record should be, what a split keeps of it in proportion, and its labels as the file has them."""

    def input_problems(self) -> list[str]:
        """Options on what is read that cannot take effect, a sentence each."""
        problems = []
        if self.keep != "start" and self.max_length is None:
            problems.append("keep: has no effect without max_length; leave it out, or set max_length.")
        if not self.columns or len(set(self.columns)) < len(self.columns):
            problems.append(f"values: expected a column, or different ones, got {list(self.columns)}.")
        if self.sound is not None and len(self.columns) > 1:
            problems.append("values: with sound it is one column, of sound files; expected its name alone.")
        if self.sound is not None and self.missing != "refuse":
            problems.append("missing: has no effect with sound, where no number is missing; leave it out.")
        return problems

    @property
    def spectrum(self) -> Spectrum | None:
        """How sounds become numbers; None where they are numbers already."""
        made: Spectrum | None = None if self.sound is None else build(self.sound, SPECTRA)
        return made

    @property
    def skeleton(self) -> Skeleton | None:
        """What is made of the numbers of a step, where they are joints."""
        return None

    @property
    def film(self) -> Frames | None:
        """Which frames of a film are read, where values are films."""
        return None

    @property
    def augmentation(self) -> Movement | None:
        """What training does to a series, anew in each epoch."""
        return None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose numbers stand side by side."""
        return (self.values,) if isinstance(self.values, str) else self.values

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The columns of numbers, or the one of sounds."""
        kind = "numbers" if self.sound is None else "audio"
        return tuple(Field(name, kind if self.film is None else "film") for name in self.columns)

    @property
    def step_fields(self) -> tuple[str, ...]:
        """The same: each row of a file in long form is a step. A sound is no step."""
        return self.columns if self.sound is None and self.film is None else ()

    @property
    def least_features(self) -> int:
        """Numbers of a step in the smallest data there is."""
        spectrum, film = self.spectrum, self.film
        made = film.num_features if film is not None else len(self.columns)
        return made if spectrum is None else spectrum.num_features

    @classmethod
    def format_of(cls, file: Path) -> str:
        """The format of a file that `init` reads."""
        return format_of(file)

    def read(self, record: Record) -> AnyRow:
        """The numbers, or the sound, of a record, and what they should be.

        Raises DataError, with file, line and step, if nothing can be learned from it.
        """
        if (spectrum := self.spectrum) is not None:
            return SoundRow(read_sound(record, self.columns[0], spectrum), spectrum, *self.wanted(record))
        raw = self.raw_of(record)
        if not len(raw):
            raise DataError(
                f"{record.origin}: has no step; expected numbers. Fill them in, or set data.on_error: skip."
            )
        return SeriesRow(raw, *self.wanted(record), record.origin)

    def raw_of(self, record: Record) -> Raw:
        """(T, F) the numbers of a record. Raises DataError, with file, line, step and joint, for what is missing."""
        if (film := self.film) is not None:
            return frames_of(field(record, self.columns[0]), record.origin, self.columns[0], film)
        joints = self.skeleton
        if joints is None:
            return raw_series(record, self.columns, self.missing)
        raw = raw_series(record, self.columns, "mask")
        if len(raw):
            joints.joints_of(raw.shape[1], record.origin)
        if self.missing == "refuse" and (gone := joints.missing_joint(raw) if len(raw) else None) is not None:
            raise DataError(
                f"{place_of(record, gone[0])}: frame {gone[0] + 1}: joint {gone[1]} is missing. Set task.joints.gaps: "
                "fill to draw a line between the frames around, or task.missing: mask to mark it."
            )
        return raw

    @property
    def row_codec(self) -> Codec[Any]:
        """Rows as plain values, and back."""
        if (spectrum := self.spectrum) is None:
            return Fields(SeriesRow, raw=ARRAY)
        return SoundCodec(lambda sound, *rest: SoundRow(sound, spectrum, *rest), "gold", "stratum", "spelt")

    def reader_of(self, rows: Collection[AnyRow], source: str) -> SeriesReader:
        """Scales from training rows, and how many steps each has where they are one vector.

        Raises DataError for series of other numbers of features than the first, or of steps.
        """
        spectrum = self.spectrum
        number = (
            features_of(((row.raw, row.origin) for row in rows), source) if spectrum is None else spectrum.num_features
        )
        joints = self.skeleton
        if joints is not None:
            joints.joints_of(number, source)
            number = joints.width_of(number)
        if not self.flatten:
            whole = (row.raw if joints is None else seen(row.raw, joints, self.max_length, self.keep) for row in rows)
            scaler = Scaler.fit(self.scaling, whole, number)
            return SeriesReader(scaler, self.missing, self.max_length, self.keep, joints=joints)

        def read(row: AnyRow) -> Any:
            return seen(row.raw, joints, self.max_length, self.keep)

        steps = steps_of(((read(row), row.origin) for row in rows), source)
        scaler = Scaler.fit(self.scaling, (flat(read(row)) for row in rows), number * steps)
        return SeriesReader(scaler, self.missing, self.max_length, self.keep, steps, joints)
