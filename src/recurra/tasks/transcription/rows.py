"""Recordings with what is said in them: as a file has them, and as a model reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.base.words import as_written
from recurra.data.formats import field
from recurra.data.frame_files import Frames, frames_of
from recurra.data.sound import samples_of
from recurra.data.spectra import Spectrum
from recurra.tasks.series_sounds import read_sound
from recurra.tasks.transcription.augmenting import Drawn
from recurra.tasks.transcription.reading import (
    Recording,
    SpeechReader,
    decoded,
    frames_in,
    is_silent,
)


@dataclass(frozen=True, slots=True)
class SpeechRow:
    """A recording and its text, before anything is fitted."""

    recording: Recording
    text: str
    origin: Origin
    speaker: str = ""

    @property
    def key(self) -> str:
        return self.recording.digest.hex()

    @property
    def stratum(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording as the model reads it. text: what is said, None where nobody knows; units: the same as numbers

    strange: units of the text that no training text has, or words that the lexicon has not
    pronounced: units are those of a lexicon, which may say the same text otherwise another time
    needed: steps that saying the units takes
    speaker: who speaks, "" where nobody knows
    """

    recording: Recording
    reader: SpeechReader
    spectrum: Spectrum | None
    text: str | None
    units: tuple[int, ...]
    strange: tuple[str, ...]
    needed: int = 0
    speaker: str = ""
    pronounced: bool = False

    @property
    def origin(self) -> Origin:
        return self.recording.origin

    @property
    def length(self) -> int:
        return self.reader.steps(frames_in(self.recording, self.spectrum))

    @property
    def key(self) -> str:
        return self.recording.digest.hex()

    def digest(self) -> bytes:
        said = (self.text, self.units) if self.pronounced else (self.text,)
        return digest_of(self.recording.digest, *said)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.heard

    @property
    def seconds(self) -> float:
        return frames_in(self.recording, self.spectrum) * self.reader.step_seconds

    @property
    def heard(self) -> int:
        """Steps after those that the model's inputs make one of."""
        return self.length // self.reader.joined

    @property
    def fits(self) -> bool:
        return self.heard >= self.needed

    def values(self, draw: Drawn | None = None) -> tuple[NDArray[np.float32], bool]:
        """(T, size) that the model reads, and whether the recording is silent. draw: what training does to it

        A text that no longer fits at a higher speed is read at its own.
        """
        if draw is None:
            raw, silent = decoded(self.recording, self.spectrum)
            return self.reader.ready(raw, None, self.speaker), silent
        raw, silent = self._augmented(draw)
        found = self.reader.ready(raw, draw.hidden(*raw.shape), self.speaker)
        return (found, silent) if len(found) // self.reader.joined >= self.needed else self.values()

    def _augmented(self, draw: Drawn) -> tuple[NDArray[np.float32], bool]:
        if isinstance(self.recording, Frames):
            raw, silent = decoded(self.recording, self.spectrum)
            return draw.spectra(draw.frames(raw)), silent
        assert self.spectrum is not None
        samples = samples_of(self.recording, self.spectrum)
        raw = self.spectrum(draw.samples(samples, self.spectrum.rate))
        return draw.spectra(raw), is_silent(samples)


def read_recording(
    record: Record, column: str, spectrum: Spectrum | None, width: int | None, *, blank: bool = False
) -> Recording:
    """The recording of a record. blank: it may have no frame

    Raises DataError, with file and line, for what is none, and for sounds of another rate than the definition.
    """
    if spectrum is not None:
        return read_sound(record, column, spectrum, blank=blank)
    found = frames_of(field(record, column), record.origin, column, width)
    if not found.steps and not blank:
        raise DataError(f"{record.origin}: {found.name} has no frame. Leave it out, or set data.on_error: skip.")
    return found


def read_speaker(record: Record, column: str | None, *, gold: bool) -> str:
    """Who speaks; "" where that is not asked. gold: somebody must. Raises DataError, with file and line."""
    value = None if column is None else record.fields.get(column)
    if value is None and not (gold and column):
        return ""
    if not isinstance(value, str | int) or not str(value).strip():
        raise DataError(
            f"{record.origin}: column '{column}' holds {as_written(value)}, expected the name of a speaker."
        )
    return str(value).strip()


def read_text(record: Record, column: str) -> str:
    """What is said in a recording; "" is a recording in which nothing is said. Raises DataError for what is no text."""
    value = field(record, column)
    if not isinstance(value, str):
        raise DataError(
            f"{record.origin}: column '{column}' holds {as_written(value)}, expected the text of the recording, or an "
            "empty one where nothing is said."
        )
    return value
