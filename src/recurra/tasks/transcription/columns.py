"""Which column of a file holds recordings, and which their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.config import build
from recurra.data.fields import names_sound
from recurra.data.frame_files import names_frames
from recurra.data.sound import sound_of
from recurra.data.spectra import SPECTRA
from recurra.tasks.columns import Look, column_names, look, named
from recurra.tasks.contract import Suggestion
from recurra.tasks.transcription.reading import decoded

# Names that people give to the column of texts; the first that is there wins.
TEXTS = ("text", "sentence", "transcript", "transcription", "words", "normalized_text", "label")
# Bands of sounds that `init` writes, and sounds whose headers it looks at.
BANDS, LOOKED = 40, 50
# Of the logarithms as Kaldi has them: about what noise of one step of 16 bits has, the least floor that `init` writes;
# the share of numbers that a floor may lift, and the sounds from which it is taken.
FLOOR, LIFTED, HEARD = 5.0, 0.05, 10


def suggested(rows: Sequence[Record], file: Path) -> Suggestion:
    """Options of the task for a file, from its first rows. Raises ConfigError for columns that cannot be told."""
    names = column_names(rows, file, "recordings and their texts")
    first = rows[0].fields
    audio = next((n for n in names if names_sound(first[n]) or names_frames(first[n])), None)
    if audio is None:
        raise ConfigError(
            f"{file}: no column names sound files or files of features (.wav, .flac, .ogg, .mp3, .npy, .mfc). Columns: "
            f"{', '.join(names)}."
        )
    others = [name for name in names if name != audio]
    best: Look = max((look(rows, name) for name in others), key=lambda one: one.as_text)
    text = named(TEXTS, others) or best.name
    options: dict[str, Any] = {"audio": audio, "text": text}
    said = [f"audio: column '{audio}'.", f"text: column '{text}'."]
    if names_sound(first[audio]):
        options["sound"], more = _sound(rows, audio)
        options["floor"] = _floor(rows, audio, options["sound"])
        said += more
    return Suggestion(options, said=tuple(said))


def _floor(rows: Sequence[Record], column: str, sound: Mapping[str, Any]) -> float:
    """Below which few numbers of the first sounds are: about the noise of their room."""
    if sound.get("resample") or sound.get("channels"):
        return FLOOR
    spectrum = build(sound, SPECTRA)
    heard = [decoded(sound_of(row.fields[column], row.origin, column), spectrum)[0] for row in rows[:HEARD]]
    numbers = np.concatenate([frames.ravel() for frames in heard])
    return max(FLOOR, round(float(np.quantile(numbers, LIFTED)), 1)) if numbers.size else FLOOR


def _sound(rows: Sequence[Record], column: str) -> tuple[dict[str, Any], list[str]]:
    """A definition that takes the first sounds, whatever their rates: the lowest of these."""
    found = [sound_of(row.fields[column], row.origin, column) for row in rows[:LOOKED]]
    rates = sorted({one.rate for one in found})
    sound: dict[str, Any] = {"name": "kaldi", "rate": rates[0], "bands": BANDS}
    said = [f"sound.rate: {rates[0]:,}, as the first has." if len(rates) == 1 else ""]
    if len(rates) > 1:
        sound["resample"] = True
        said = [f"sound.rate: {rates[0]:,}, the lowest of {', '.join(map(str, rates))}; others are resampled."]
    if any(one.channels > 1 for one in found):
        sound["channels"] = "mean"
        said.append("sound.channels: mean, as some have several.")
    return sound, said
