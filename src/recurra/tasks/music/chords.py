"""Chords, step by step: read from lists of MIDI numbers or from a line of text, and written as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.data.formats import field

# The notes that sound at one step, as MIDI numbers (middle C is 60), each once, from low to high. A rest has none.
Chord: TypeAlias = tuple[int, ...]

REST = "-"
HIGHEST = 127
LONGEST = 100_000
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NOTE = re.compile(r"([A-G])(#|b)?(-?[0-9]{1,2})|([0-9]{1,3})")


def chords_of(record: Record, column: str) -> tuple[Chord, ...]:
    """The chords of a record: `C4+E4+G4 D4+F4 -`, or `60+64+67 62+65 -`, or a JSON list of lists of numbers.

    Raises DataError, with file, line and step, for what is no note or more than 100,000 steps.
    """
    value = field(record, column)
    steps: Sequence[Any] = value.split() if isinstance(value, str) else value
    if not isinstance(steps, list):
        raise DataError(
            f"{record.origin}: column '{column}' holds {_short(value)}, expected chords such as 'C4+E4+G4 D4+F4 -' or "
            "[[60, 64, 67], [62, 65], []]."
        )
    if len(steps) > LONGEST:
        raise DataError(f"{record.origin}: column '{column}' has {len(steps):,} steps, expected at most {LONGEST:,}.")
    found = []
    for number, step in enumerate(steps, start=1):
        try:
            found.append(_chord(step))
        except ValueError as error:
            raise DataError(f"{record.origin}: column '{column}', step {number}: {error}") from None
    return tuple(found)


def written(chords: Sequence[Chord]) -> str:
    """A line of text that `chords_of` reads: `C4+E4+G4 D4+F4 -`."""
    return " ".join("+".join(map(note_name, chord)) or REST for chord in chords)


def note_name(number: int) -> str:
    """60 is C4: the octaves of scientific pitch notation, black keys as sharps."""
    return f"{_NAMES[number % 12]}{number // 12 - 1}"


def outside(chord: Chord, lowest: int, highest: int) -> Chord:
    """The notes under the lowest or above the highest."""
    return tuple(note for note in chord if not lowest <= note <= highest)


def _chord(step: Any) -> Chord:
    if isinstance(step, str):
        return () if step == REST else _sorted([_number(word) for word in step.split("+")])
    if not isinstance(step, list):
        raise ValueError(f"is {_short(step)}, expected a list of notes such as [60, 64, 67], [] for a rest.")
    return _sorted([_checked(note, note) for note in step])


def _sorted(notes: Sequence[int]) -> Chord:
    return tuple(sorted(set(notes)))


def _number(word: str) -> int:
    match = _NOTE.fullmatch(word)
    if match is None:
        raise ValueError(f"{_short(word)} is no note; expected a name such as C4 or F#5, or a MIDI number, 60 for C4.")
    letter, accidental, octave, number = match.groups()
    if number is not None:
        return _checked(int(number), word)
    return _checked(12 * (int(octave) + 1) + _LETTERS[letter] + {"#": 1, "b": -1, None: 0}[accidental], word)


def _checked(note: Any, said: Any) -> int:
    if type(note) is not int or not 0 <= note <= HIGHEST:
        raise ValueError(f"{_short(said)} is no note; expected a MIDI number from 0 to {HIGHEST}, 60 for C4.")
    return note


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
