"""Pieces of music as rows: a number for each note at each step, 1 where it sounds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Record
from recurra.base.errors import DataError
from recurra.base.normal import name_of
from recurra.tasks.contract import Suggestion
from recurra.tasks.music.chords import HIGHEST, Chord, chords_of, note_name, outside, written
from recurra.tasks.music.scoring import foreseen

# The keys of a piano.
PIANO = (21, 108)
# Columns of these names hold chords, and no numbers, where they can; and so many rising keys are a chord by any name.
CHORDS = ("chords", "chord", "notes", "piece", "pieces", "music", "melody", "harmony", "pitches")
TRIAD = 3


def refusal(notes: Sequence[int]) -> str:
    """Why these are no two notes to read between, as a sentence; "" where they are."""
    if len(notes) == 2 and 0 <= notes[0] < notes[1] <= HIGHEST:
        return ""
    return f"notes: expected a lowest and a highest MIDI number, 0 to {HIGHEST}, such as [21, 108], got {list(notes)}."


def roll_of(record: Record, column: str, notes: Sequence[int]) -> NDArray[np.float32]:
    """(T, notes) of the chords of a record. Raises DataError, with file, line and step, for other notes."""
    chords = chords_of(record, column)
    found = np.zeros((len(chords), notes[1] - notes[0] + 1), np.float32)
    for step, chord in enumerate(chords):
        for note in outside(chord, *notes):
            raise DataError(
                f"{record.origin}: column '{column}', step {step + 1}: {note_name(note)} ({note}) is not in "
                f"{notes[0]}..{notes[1]}; set task.notes."
            )
        found[step, [note - notes[0] for note in chord]] = 1
    return found


def chords_said(numbers: NDArray[np.float64], lowest: int) -> str:
    """The notes of each step (T, notes) whose number is above 1/2, as a line of chords."""
    chords: list[Chord] = [tuple((np.flatnonzero(step > 0.5) + lowest).tolist()) for step in numbers]
    return written(chords)


def frame_accuracy(truth: Sequence[NDArray[np.float32]], said: Sequence[NDArray[np.float32]]) -> float:
    """Notes that were said and sounded, of all that were one of the two (Bay et al. 2009, section 2.2)."""
    counts = [foreseen(one.astype(float), other.astype(float)) for one, other in zip(truth, said, strict=True)]
    right, wrong = (sum(each) for each in zip(*counts, strict=True))
    return right / (right + wrong) if right + wrong else 1.0


def suggested_notes(rows: Sequence[Record], file: Path) -> Suggestion | None:
    """Options of the task where a column of these rows is of chords with the names of notes; None where none is."""
    for name in rows[0].fields:
        try:
            pieces = [chords_of(row, name) for row in rows]
        except DataError:
            continue
        if any(pieces) and _are_chords(rows, name):
            said = f"values: column '{name}', of chords; a number for each key of a piano, 1 where it sounds."
            return Suggestion(
                {"values": name, "notes": list(PIANO), "scaling": "none", "likelihood": "bernoulli"}, said=(said,)
            )
    return None


def _are_chords(rows: Sequence[Record], name: str) -> bool:
    """Whether lists are hardly numbers: names of notes, steps with different numbers of them, or what a column that is
    called so holds; or three rising keys of a piano at least in each step."""
    if name_of(name).lower() in CHORDS:
        return True
    cells = [row.fields[name] for row in rows]
    texts = [cell for cell in cells if isinstance(cell, str)]
    texts += [step for cell in cells if isinstance(cell, list) for step in cell if isinstance(step, str)]
    if texts:
        return any(letter.isalpha() or letter == "+" for text in texts for letter in text)
    steps = [step for cell in cells for step in cell]
    if len({len(step) for step in steps}) > 1:
        return True
    return len(steps[0]) >= TRIAD and all(map(_rises, steps))


def _rises(step: Sequence[int]) -> bool:
    return PIANO[0] <= step[0] and step[-1] <= PIANO[1] and all(a < b for a, b in pairwise(step))
