"""MIDI files: from chords, one a step, or from ABC notation. The package symusic (`recurra[music]`) writes them."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from recurra.base.errors import ConfigError, DataError

# Ticks of a quarter note: the usual number, which halves, thirds and eighths divide.
TICKS = 480
# How hard a key is struck, of 127; program 19 is a church organ, which holds a note as long as it is written.
VELOCITY, PROGRAM = 80, 19
# abc2midi begins each note of a chord ten ticks after the one before, unless a tune says otherwise.
TOGETHER = "%%MIDI chordattack 0"
STDOUT = 1
_one_at_a_time = threading.Lock()  # there is one standard output


def midi_of_chords(
    chords: Sequence[Sequence[int]], *, steps_per_quarter: int = 1, quarters_per_minute: float = 90
) -> bytes:
    """The bytes of a MIDI file.

    chords: the MIDI numbers of the notes that sound at each step; a note that goes on to the next step is one long note
    Raises ConfigError for a number out of range, or where symusic is not installed.
    """
    if not 1 <= steps_per_quarter <= TICKS:
        raise ConfigError(f"steps_per_quarter: expected 1 to {TICKS}, got {steps_per_quarter}.")
    if not 1 <= quarters_per_minute <= 1000:
        raise ConfigError(f"quarters_per_minute: expected 1 to 1000, got {quarters_per_minute:g}.")
    symusic = _symusic()
    score = symusic.Score(TICKS)
    score.tempos.append(symusic.Tempo(time=0, qpm=quarters_per_minute))
    track = symusic.Track(program=PROGRAM)
    step = TICKS // steps_per_quarter
    for note, first, last in held(chords):
        track.notes.append(symusic.Note(first * step, (last - first) * step, note, VELOCITY))
    score.tracks.append(track)
    return bytes(score.dumps_midi())


def midi_of_abc(text: str) -> bytes:
    """The bytes of a MIDI file of the first tune in ABC notation (abcnotation.com/wiki/abc:standard).

    Raises DataError if there is no tune in it, or no note; ConfigError where symusic is not installed.
    """
    symusic = _symusic()
    start = text.find("X:")
    if start < 0:
        raise DataError("no tune in ABC notation: a tune begins with a line such as 'X: 1'.")
    tune, _, _ = text[start:].partition("\n\n")
    first, _, rest = tune.partition("\n")
    try:
        with _without_output() as said:
            score = symusic.Score.from_abc(f"{first}\n{TOGETHER}\n{rest}")
        notes = sum(len(track.notes) for track in score.tracks)
    except RuntimeError as error:
        # Behind the place, which counts the line that was put in.
        wrong = next((line.partition(" : ")[2] for line in said if line.startswith("Error")), str(error))
        raise DataError(f"not ABC notation: {wrong}") from None
    if not notes:
        raise DataError("no note in this ABC notation: a tune has a line K: with its key, and notes after it.")
    return bytes(score.dumps_midi())


def held(chords: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """(note, first step, step after the last) of each note, those that begin first in front."""
    begun: dict[int, int] = {}
    found = []
    for step, chord in enumerate([*chords, ()]):
        sounding = set(chord)
        for note in sorted(begun.keys() - sounding):
            found.append((note, begun.pop(note), step))
        for note in sounding - begun.keys():
            begun[note] = step
    yield from sorted(found, key=lambda one: (one[1], one[0]))


@contextmanager
def _without_output() -> Iterator[list[str]]:
    """Keep what is written to standard output, by this process or one that it starts; the lines, once it has ended.

    symusic has the program abc2midi do the work, which writes warnings there, where --json has its answer.
    """
    said: list[str] = []
    if sys.stdout is not None:
        sys.stdout.flush()
    with _one_at_a_time, tempfile.TemporaryFile() as kept:
        before = os.dup(STDOUT)
        os.dup2(kept.fileno(), STDOUT)
        try:
            yield said
        finally:
            os.dup2(before, STDOUT)
            os.close(before)
            kept.seek(0)
            said += kept.read().decode("utf-8", "replace").splitlines()


def _symusic() -> Any:
    try:
        import symusic
    except ModuleNotFoundError:
        message = 'MIDI needs the package symusic, which is not installed: pip install "recurra[music]".'
        raise ConfigError(message) from None
    return symusic
