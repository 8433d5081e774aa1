"""Sounds as series: read from their header first, decoded to features when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.digest import digest_of
from recurra.base.errors import DataError
from recurra.data.formats import field
from recurra.data.sound import Sound, check_sound, num_samples, samples_of, sound_of
from recurra.data.spectra import Spectrum
from recurra.tasks.series_reader import Raw, SeriesReader


@dataclass(frozen=True, slots=True)
class SoundRow:
    """A sound and what it should be; `raw` decodes it anew each time. spelt: the labels as the file has them"""

    sound: Sound
    spectrum: Spectrum
    gold: Any
    stratum: str
    spelt: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        return self.sound.origin

    @property
    def raw(self) -> Raw:
        """(T, F) float32."""
        return features(self.sound, self.spectrum)

    @property
    def key(self) -> str:
        return self.sound.digest.hex()


@dataclass(frozen=True, slots=True)
class SoundExample:
    """A sound as the model reads it: `values` (T, F) float32 are made when they are asked for, and not kept."""

    sound: Sound
    spectrum: Spectrum
    reader: SeriesReader
    gold: Any

    @property
    def origin(self) -> Origin:
        return self.sound.origin

    @property
    def values(self) -> NDArray[np.float32]:
        return self.reader.ready(features(self.sound, self.spectrum), self.origin)

    @property
    def all_steps(self) -> int:
        return frames_of(self.sound, self.spectrum)

    @property
    def length(self) -> int:
        return self.reader.length(self.all_steps)

    @property
    def key(self) -> str:
        return self.sound.digest.hex()

    def digest(self) -> bytes:
        return digest_of(self.sound.digest, self.gold)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to read."""
        return not self.length


class SoundCodec:
    """Rows or examples of sounds as plain values, and back. beside: fields beside the sound, which `make` takes too"""

    def __init__(self, make: Callable[..., Any], *beside: str) -> None:
        self._make, self._beside = make, beside

    def to_plain(self, one: Any) -> Any:
        """A sound is its file, or its bytes, and what its header says."""
        sound: Sound = one.sound
        source = sound.source if isinstance(sound.source, bytes) else str(sound.source)
        header = (sound.rate, sound.channels, sound.samples, sound.digest)
        return source, header, tuple(getattr(one, name) for name in self._beside)

    def from_plain(self, plain: Any, origin: Origin) -> Any:
        """The inverse of `to_plain`."""
        source, (rate, channels, samples, digest), beside = plain
        found = Sound(source if isinstance(source, bytes) else Path(source), rate, channels, samples, digest, origin)
        return self._make(found, *beside)


def read_sound(record: Record, column: str, spectrum: Spectrum, *, blank: bool = False) -> Sound:
    """The sound of a record. blank: it may be too short for one frame

    Raises DataError, a sentence, for what is no sound or has another rate or number of channels than the definition.
    """
    sound = sound_of(field(record, column), record.origin, column)
    check_sound(sound, spectrum)
    if not blank and not frames_of(sound, spectrum):
        raise DataError(
            f"{sound.name}: has no step: {sound.samples:,} samples are too few for one frame. Leave it out, or set "
            "data.on_error: skip."
        )
    return sound


def frames_of(sound: Sound, spectrum: Spectrum) -> int:
    """Steps of a sound, from its header."""
    return spectrum.frames(num_samples(sound, spectrum.rate))


def features(sound: Sound, spectrum: Spectrum) -> Raw:
    """(T, F) float32, not scaled."""
    return spectrum(samples_of(sound, spectrum))
