"""Sound files by the package soundfile (`recurra[audio]`): what their header says, and their samples.

A WAV file is looked at first: libsndfile reads one that is cut off to its end, without a word.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin
from recurra.base.errors import DataError
from recurra.base.optional import needs
from recurra.data.incoming import pcm_of
from recurra.data.named_files import source_of
from recurra.data.spectra import Spectrum
from recurra.data.spectra.contract import Samples

EXTRA = "audio"
# Numbers of a sound, all channels together: an hour of 16,000 Hz is 57.6 million, and 220 MiB.
MOST_SAMPLES = 100_000_000
# The same of one that is heard some seconds at a time, and never in memory as a whole: a day of 96,000 Hz.
MOST_STREAMED = 10_000_000_000
# Sizes of a WAV's data that say that whoever wrote it could not know: of ffmpeg, of sox and espeak-ng.
_OPEN_ENDED = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
_CHUNK = 2**20
# Seconds that a part may reach beyond its sound: times are rounded, by some to frames.
SLACK = 0.5
# Formats whose samples have a place of their own; packed ones are decoded from their beginning, or differ.
PLACED = ("WAV", "WAVEX", "FLAC", "AIFF", "AU", "CAF", "RF64", "W64")
_PART = re.compile(r"(?P<file>.+)#t=(?P<start>\d+(\.\d+)?),(?P<end>\d+(\.\d+)?)")
# Digests of files that were read last.
KEPT = 8
_DIGESTS: dict[tuple[str, int, int], bytes] = {}


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound, or a part of one, that is not decoded yet. source: its file, or its bytes      samples: of each channel

    digest: of its bytes, and of which part of them, 32      origin: where it is named
    start: samples of the file in front of the part; whole: of the file, None where that is the sound
    """

    source: Path | bytes
    rate: int
    channels: int
    samples: int
    digest: bytes
    origin: Origin
    start: int = 0
    whole: int | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.origin) if isinstance(self.source, bytes) else str(self.source)

    def part(self, start: float, end: float, most: int) -> Sound:
        """Of these seconds. Raises DataError for a part that is empty, or reaches more than half a second beyond."""
        first, last = round(start * self.rate), round(end * self.rate)
        if first >= min(last, self.samples) or last > self.samples + SLACK * self.rate:
            raise DataError(
                f"{self.origin}: {self.name}: part {start:g} to {end:g} s, and the sound has "
                f"{self.samples / self.rate:.2f} s; expected a part of it."
            )
        last = min(last, self.samples)
        if (last - first) * self.channels > most:
            raise DataError(f"{self.origin}: has more than {most:,} samples, the limit. Cut it.")
        digest = hashlib.sha256(self.digest + struct.pack("<qq", first, last)).digest()
        return replace(self, samples=last - first, digest=digest, start=first, whole=self.samples)


def sound_of(value: Any, origin: Origin, column: str, most: int = MOST_SAMPLES) -> Sound:
    """The sound in a field: bytes, a Path, or the name of a file, which is relative to the file that names it.

    A name that ends with #t=START,END is a part of the sound, in seconds (W3C Media Fragments, section 4.2.1).
    most: numbers of all its channels
    Raises DataError, a sentence, for what is no sound, is cut off or has no channel; ConfigError without soundfile.
    """
    source, part = split_part(source_of(value, origin, column, "sound"))
    where = f"{origin}: column '{column}'" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path) and not source.is_file():
        raise DataError(f"{origin}: column '{column}': {source}: no such file.")
    with _bytes_of(source) as file:
        _check_wav(file, where)
        digest = _digest_of(source, file)
    with _decoder(source, where) as sound:
        found = Sound(source, int(sound.samplerate), int(sound.channels), int(sound.frames), digest, origin)
    if part is not None:
        return found.part(*part, most)
    if found.samples * found.channels > most:
        raise DataError(f"{where}: has {found.samples:,} samples, more than {most:,}, the limit. Cut it.")
    return found


def split_part(source: Path | bytes) -> tuple[Path | bytes, tuple[float, float] | None]:
    """A file, and the seconds of the part that its name asks for; None for all of it."""
    found = _PART.fullmatch(str(source)) if isinstance(source, Path) else None
    if found is None or (isinstance(source, Path) and source.is_file()):
        return source, None
    return Path(found["file"]), (float(found["start"]), float(found["end"]))


def _digest_of(source: Path | bytes, file: BinaryIO) -> bytes:
    """Of the bytes of a sound; kept of the last few files, as many parts may be of one."""
    if isinstance(source, bytes):
        return _digest(file)
    now = source.stat()
    key = (str(source), now.st_mtime_ns, now.st_size)
    digest = _DIGESTS.get(key)
    if digest is None:
        digest = _DIGESTS[key] = _digest(file)
        while len(_DIGESTS) > KEPT:  # threads may read at once, and take the same one away
            _DIGESTS.pop(next(iter(_DIGESTS)), None)
    return digest


def decoded_size(raw: bytes) -> int | None:
    """Samples of all channels that the bytes of a sound hold by their header; None for what is no sound."""
    try:
        with _decoder(raw, "a sound") as sound:
            return int(sound.frames) * int(sound.channels)
    except DataError:
        return None


def check_sound(sound: Sound, spectrum: Spectrum, most: int = MOST_SAMPLES) -> None:
    """Raise DataError, a sentence with the option to set, for a rate or channels that the definition does not take.

    Nor is a sound taken that a low rate, which a header may claim, would make longer than the limit.
    """
    if sound.rate != spectrum.rate and not spectrum.resample:
        raise DataError(
            f"{sound.name}: has {sound.rate:,} samples a second, and task.sound.rate is {spectrum.rate:,}. Convert it, "
            "or set task.sound.resample: true."
        )
    if sound.channels != 1 and spectrum.channels == "refuse":
        raise DataError(
            f"{sound.name}: has {sound.channels} channels, expected one. Set task.sound.channels to mean or first, or "
            "convert it."
        )
    if (samples := num_samples(sound, spectrum.rate)) > most:
        raise DataError(
            f"{sound.name}: has {samples:,} samples at {spectrum.rate:,} Hz, more than {most:,}, the limit. "
            f"Its header says {sound.rate:,} Hz: mend it, or cut the sound."
        )


def num_samples(sound: Sound, rate: int) -> int:
    """Of one channel, at this rate."""
    return sound.samples if sound.rate == rate else round(sound.samples * rate / sound.rate)


def samples_of(sound: Sound, spectrum: Spectrum) -> Samples:
    """(S,) in -1..1, of one channel, at the rate of the definition.

    Raises DataError for a sound that cannot be decoded, has changed since its header was read, or is no finite number.
    """
    with _decoder(sound.source, sound.name) as file:
        read = _read(file, sound)
    if len(read) != sound.samples:
        raise DataError(
            f"{sound.name}: has {len(read):,} samples, and its header says {sound.samples:,}. Copy it again."
        )
    mono = _mono(read, sound, spectrum)
    return mono if sound.rate == spectrum.rate else _resampled(mono, sound, spectrum.rate)


def _read(file: Any, sound: Sound) -> NDArray[np.float32]:
    """(S, channels) of a sound, or of its part. Only formats whose samples have places are gone to a place in."""
    if sound.whole is None:
        found: NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
        return found
    if file.format in PLACED:
        file.seek(sound.start)
    else:
        file.seekable, left = _never, sound.start
        while left and len(some := file.read(min(left, _CHUNK), dtype="float32", always_2d=True)):
            left -= len(some)
    part: NDArray[np.float32] = file.read(sound.samples, dtype="float32", always_2d=True)
    return part


def samples_in_blocks(sound: Sound, spectrum: Spectrum, seconds: float) -> Iterator[Samples]:
    """The same at the rate of the sound, some seconds at a time, so that a long one is never in memory as a whole.

    Raises DataError as `samples_of`, and for another rate or several channels, as `check_sound`.
    """
    check_sound(sound, spectrum, MOST_STREAMED)
    read = 0
    with _decoder(sound.source, sound.name) as file:
        # Or soundfile seeks to where it stands after each block, and an MP3 is noise from there on.
        file.seekable = _never
        while len(block := file.read(max(1, round(seconds * sound.rate)), dtype="float32", always_2d=True)):
            yield _mono(block, sound, spectrum, read)
            read += len(block)
    if read != sound.samples:
        raise DataError(f"{sound.name}: has {read:,} samples, and its header says {sound.samples:,}. Copy it again.")


def _never() -> bool:
    return False


def _mono(read: NDArray[np.float32], sound: Sound, spectrum: Spectrum, before: int = 0) -> Samples:
    """One channel of (S, channels). Raises DataError for what is no finite number. before: samples in front of these"""
    # Two channels a, b: (a + b) / 2 in float64, so that their order says nothing.
    first = spectrum.channels == "first" or read.shape[1] == 1
    mono = read[:, 0] if first else read.astype(np.float64).mean(1).astype(np.float32)
    if not np.isfinite(mono).all():
        place = int(np.flatnonzero(~np.isfinite(mono))[0])
        raise DataError(f"{sound.name}: sample {before + place + 1} is {mono[place]}, no finite number.")
    return mono


def pcm(piece: str) -> Samples:
    """(S,) in -1..1 of base64 of samples in 16 bits, little-endian, one channel. Raises DataError for anything else."""
    try:
        raw = base64.b64decode(piece, validate=True)
    except ValueError:
        raise DataError("piece: is no base64; expected samples of 16 bits, little-endian, one channel.") from None
    if len(raw) % 2:
        raise DataError(f"piece: holds {len(raw):,} bytes, expected two for each sample.")
    return pcm_of(raw)


def silence(rate: int, samples: int) -> bytes:
    """A WAV file of zeros, 16 bits."""
    return _wav(bytes(2 * samples), rate)


def wav(samples: NDArray[np.float64], rate: int) -> bytes:
    """A WAV file of samples (S,) in -1..1, 16 bits."""
    return _wav(np.round(samples * 32767).astype("<i2").tobytes(), rate)


def _wav(content: bytes, rate: int) -> bytes:
    size = len(content)
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16,
                       b"data", size)  # fmt: skip
    return head + content


def _resampled(mono: Samples, sound: Sound, rate: int) -> Samples:
    soxr = needs("soxr", EXTRA, f"{sound.name}: a sound of another rate")
    found = soxr.resample(mono, sound.rate, rate)
    wanted = num_samples(sound, rate)  # it may differ by one from what the resampler gives
    return np.pad(found[:wanted], (0, max(wanted - len(found), 0))).astype(np.float32)


@contextmanager
def _decoder(source: Path | bytes, where: str) -> Iterator[Any]:
    """An open sound file. Raises DataError, a sentence, for what cannot be decoded."""
    soundfile = needs("soundfile", EXTRA, f"{where}: a sound")
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            yield file
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        told = str(error).rpartition(": ")[2].rstrip(".")
        raise DataError(f"{where}: is no sound that can be read: {told}. Convert it to WAV or FLAC.") from None


@contextmanager
def _bytes_of(source: Path | bytes) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        with open(source, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}.") from None


def _digest(file: BinaryIO) -> bytes:
    file.seek(0)
    found = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        found.update(chunk)
    return found.digest()


def _check_wav(file: BinaryIO, where: str) -> None:
    """Raise DataError for a RIFF file without data, or whose data are fewer bytes than its header says."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if not size:
        raise DataError(f"{where}: is empty, expected a sound. Copy it again.")
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return
    while len(chunk := file.read(8)) == 8:
        name, claimed = struct.unpack("<4sI", chunk)
        there = size - file.tell()
        if name == b"data":
            if claimed > there and claimed not in _OPEN_ENDED:
                raise DataError(
                    f"{where}: is cut off: its header says {claimed:,} bytes of sound, and {there:,} are there. Copy "
                    "it again."
                )
            return
        file.seek(claimed + claimed % 2, io.SEEK_CUR)
    raise DataError(f"{where}: is a WAV file without sound: it has no chunk 'data'. Copy it again.")
