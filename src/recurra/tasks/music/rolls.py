"""Piano rolls: notes over steps, of what came and of what was expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.tasks.music.chords import Chord, note_name, written

Rows = list[list[float]]
# Notes that did not sound are shown where they were more probable than this.
PROBABLE = 0.2


def rolls(chords: Sequence[Chord], p: NDArray[np.float64], lowest: int) -> tuple[list[str], Rows, Rows]:
    """The notes that sounded or were probable, from high to low; 1 where each came; how probable each was.

    p: (T, notes), of each note at each step      lowest: MIDI number of the first note
    """
    sounded = {note for chord in chords for note in chord}
    shown = sorted(sounded | {int(k) + lowest for k in np.flatnonzero(p.max(0) > PROBABLE)}, reverse=True)
    came = [[float(note in chord) for chord in chords] for note in shown]
    return [note_name(note) for note in shown], came, [p[:, note - lowest].tolist() for note in shown]


def expected(p: NDArray[np.float64], lowest: int) -> list[str]:
    """The notes that are more probable than not at each step, as a chord; these are what frame accuracy counts."""
    return [written([tuple(int(k) + lowest for k in np.flatnonzero(row > 0.5))]) for row in p]
