"""Which numbers are said? Digits by the synthesiser espeak-ng where it is installed, else by the tones of a telephone.

The tones are those of ITU-T recommendation Q.23: two frequencies for each key. Lengths, pauses, loudness and noise are
drawn, the same on every machine.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError
from recurra.data.embedded.dataset import EmbeddedSet
from recurra.data.sound import wav

ROWS = {"train": 240, "dev": 40, "test": 60}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Of the tones, and of the program.
RATE, SPOKEN_RATE = 8000, 22_050
# The row and the column of each key, in Hz.
LOW = (941, 697, 697, 697, 770, 770, 770, 852, 852, 852)
HIGH = (1336, 1209, 1336, 1477, 1209, 1336, 1477, 1209, 1336, 1477)
PROGRAM = "espeak-ng"
SECONDS = 30.0


def spoken() -> bool:
    """Whether a voice says the numbers: whether the program is installed."""
    return shutil.which(PROGRAM) is not None


@cache
def _texts(split: str) -> tuple[tuple[int, ...], ...]:
    """Three to six digits a row."""
    rng = Random(f"speech {split}")  # noqa: S311 no secret, but the same rows everywhere
    return tuple(tuple(rng.randrange(10) for _ in range(rng.randint(3, 6))) for _ in range(ROWS[split]))


def _records(split: str) -> Iterator[Record]:
    for number, digits in enumerate(_texts(split), start=1):
        fields = {"audio": _name(split, number), "text": " ".join(WORDS[digit] for digit in digits)}
        yield Record(fields, Origin(f"speech/{split}", number))


def _name(split: str, number: int) -> str:
    return f"speech_{split}/{number:04d}.wav"


def _files(split: str) -> Iterator[tuple[str, bytes]]:
    """The sounds, each by its name."""
    say = _spoken if spoken() else _dialled
    for number, digits in enumerate(_texts(split), start=1):
        yield _name(split, number), say(digits, Random(f"sound {split} {number}"))  # noqa: S311


def _dialled(digits: tuple[int, ...], rng: Random) -> bytes:
    parts = [_pause(rng)]
    for digit in digits:
        time = np.arange(int(RATE * rng.uniform(0.07, 0.2))) / RATE
        both = np.sin(2 * math.pi * LOW[digit] * time) + np.sin(2 * math.pi * HIGH[digit] * time)
        parts += [both * rng.uniform(0.1, 0.3), _pause(rng)]
    whole = np.concatenate(parts)
    noise = np.array([rng.gauss(0.0, 1.0) for _ in range(len(whole))]) * rng.uniform(0.002, 0.03)
    return wav(np.clip(whole + noise, -1, 1), RATE)


def _pause(rng: Random) -> NDArray[np.float64]:
    return np.zeros(int(RATE * rng.uniform(0.04, 0.15)))


def _spoken(digits: tuple[int, ...], rng: Random) -> bytes:
    """By the program, in one of several voices. Raises ConfigError where it fails."""
    text = " ".join(WORDS[digit] for digit in digits)
    how = ["-v", rng.choice(("en-us", "en-gb")), "-s", str(rng.randint(120, 190)), "-p", str(rng.randint(20, 80))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        try:  # only words of the table above are said
            words = [shutil.which(PROGRAM) or PROGRAM, *how, "-w", str(path), text]
            subprocess.run(words, check=True, timeout=SECONDS, capture_output=True)  # noqa: S603
            return path.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"{PROGRAM} failed: {str(error)[:200]}.") from None


SPEECH_SET = EmbeddedSet(
    description="which numbers are said? digits, by espeak-ng where it is installed, else by the tones of a telephone",
    licence="made up for recurra, Apache-2.0",
    columns=("audio", "text"),
    splits=("train", "dev", "test"),
    load=_records,
    size=lambda split: ROWS[split],
    files=_files,
)
