"""Samples of 16 bits that come piece by piece: raw, or as a WAV file; what a microphone and a pipe give."""

from __future__ import annotations

import struct

import numpy as np

from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.base.words import counted
from recurra.data.spectra.contract import Samples

# Words of a WAV's format: whole numbers; another word follows, in SubFormat.
_WHOLE, _EXTENSIBLE = 1, 0xFFFE
# What a program that writes to a pipe says at least of a size that it cannot know, such as arecord with 0x7FFFFF00.
_FROM_PIPES = 0x7FFFF000
# Rates that are taken where any is; a header may claim whatever it likes.
RATES = range(1_000, 400_001)
# Bytes of a RIFF's beginning, of the head of a chunk, and of a format that are looked at.
_RIFF, _HEAD, _FORMAT = 12, 8, 26


class IncomingSamples:
    """Bytes to samples (S,) in -1..1, whatever the size of the pieces; nothing is kept but what makes no sample yet.

    wanted: the rate in Hz that they must have, where not `any_rate`      where: for messages
    named: the rate that was said; of samples without a header, and a WAV file must have it too
    assumed: of samples without a header where none was said; None: they are refused
    rate: what they have, None as long as that is not known
    """

    def __init__(
        self, wanted: int, where: str, named: int | None, *, assumed: int | None = None, any_rate: bool = False
    ) -> None:
        self._wanted, self._where, self._any = wanted, where, any_rate
        self._named, self._raw_rate = named, named or assumed
        self.rate: int | None = None
        self._waiting, self._skip = b"", 0
        self._is_wav, self._is_known, self._in_sound = False, False, False
        self._claimed: int | None = None
        self._left: int | None = None

    def feed(self, piece: bytes) -> Samples:
        """The samples that are whole by now. Raises DataError for a WAV that is not mono, 16 bits and of this rate."""
        self._waiting += piece
        if not self._in_sound and not self._begins():
            return np.zeros(0, np.float32)
        return self._taken()

    def end(self) -> Samples:
        """Those that wait for no more. Raises DataError for half a sample, and a WAV that ends before its sound."""
        if not self._in_sound and self._is_wav:
            raise self._wrong("is a WAV file without sound.")
        if not self._in_sound and self._waiting:
            self._begin_raw()
        found = self._taken()
        if self._left is not None and len(self._waiting) < self._left:
            came = (self._claimed or 0) - self._left + len(self._waiting)
            raise self._wrong(
                f"is cut off: its header says {self._claimed:,} bytes of sound, and {came:,} came. Send all of it."
            )
        if self._waiting:
            raise self._wrong("ends in the middle of a sample; expected two bytes for each.")
        return found

    def _taken(self) -> Samples:
        if self._left is not None:
            self._waiting = self._waiting[: self._left]  # what stands behind the sound is none
        whole = len(self._waiting) // 2 * 2
        found, self._waiting = self._waiting[:whole], self._waiting[whole:]
        if self._left is not None:
            self._left -= whole
        return pcm_of(found)

    def _begins(self) -> bool:
        """Whether the sound has begun; the head of a WAV file is read on the way."""
        if not self._is_wav:
            if len(self._waiting) < _RIFF:
                return False
            if self._waiting[:4] != b"RIFF" or self._waiting[8:_RIFF] != b"WAVE":
                self._begin_raw()
                return True
            self._is_wav, self._waiting = True, self._waiting[_RIFF:]
        while self._next_chunk():
            pass
        return self._in_sound

    def _begin_raw(self) -> None:
        if self._raw_rate is None:
            raise self._wrong(f"is no WAV file, so its rate must be named; this run hears {self._wanted:,} Hz.")
        if self._raw_rate != self._wanted and not self._any:
            raise self._wrong(f"has {self._raw_rate:,} Hz, and this run hears {self._wanted:,} Hz. Convert it.")
        self._in_sound, self.rate = True, self._raw_rate

    def _next_chunk(self) -> bool:
        """Go past one chunk of the file, or to the beginning of its sound; False where that needs more bytes."""
        passed = min(self._skip, len(self._waiting))
        self._waiting, self._skip = self._waiting[passed:], self._skip - passed
        if self._skip or len(self._waiting) < _HEAD:
            return False
        name, size = struct.unpack("<4sI", self._waiting[:_HEAD])
        if name == b"data":
            self._begin_sound(size)
            return False
        if name == b"fmt ":
            looked = min(size, _FORMAT)
            if len(self._waiting) < _HEAD + looked:
                return False
            self._check_format(self._waiting[_HEAD : _HEAD + looked])
        self._waiting, self._skip = self._waiting[_HEAD:], size + size % 2
        return True

    def _begin_sound(self, size: int) -> None:
        if not self._is_known:
            raise self._wrong("is a WAV file that has sound before it says what it is.")
        self._claimed = self._left = None if size == 0 or size >= _FROM_PIPES else size
        self._waiting, self._in_sound = self._waiting[_HEAD:], True

    def _check_format(self, content: bytes) -> None:
        """Raise DataError for what is not one channel of whole numbers in 16 bits, at this rate."""
        if len(content) < 16:
            raise self._wrong("is a WAV file whose header is broken.")
        kind, channels, found, _, _, bits = struct.unpack("<HHIIHH", content[:16])
        if kind == _EXTENSIBLE and len(content) >= _FORMAT:
            (kind,) = struct.unpack("<H", content[24:_FORMAT])  # the first bytes of its SubFormat
        expected = found if self._any and found in RATES else self._wanted
        if (kind, channels, found, bits) != (_WHOLE, 1, expected, 16):
            raise self._wrong(
                f"is a WAV of {found:,} Hz, {counted(channels, 'channel')}, {bits} bits, kind {kind}; expected "
                f"{self._wanted:,} Hz, 1 channel, 16 bits, kind {_WHOLE} (whole numbers)."
            )
        if self._named not in (None, found):
            raise self._wrong(f"is a WAV of {found:,} Hz, and {self._named:,} Hz was said; leave that out.")
        self._is_known, self.rate = True, found

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{self._where}: {what}")


class Resampler:
    """Samples at another rate, piece by piece: with the bits of the whole, whatever the pieces.

    Raises ConfigError where the package soxr is not installed.
    """

    def __init__(self, before: int, after: int, where: str) -> None:
        soxr = needs("soxr", "audio", f"{where}: a sound of another rate")
        self._stream = soxr.ResampleStream(before, after, 1, dtype="float32")

    def feed(self, samples: Samples, *, last: bool = False) -> Samples:
        """Those that are known by now; with `last` all that are left."""
        return np.asarray(self._stream.resample_chunk(samples, last=last), np.float32)


def pcm_of(raw: bytes) -> Samples:
    """(S,) in -1..1 of samples in 16 bits, little-endian, one channel: two bytes for each."""
    return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
