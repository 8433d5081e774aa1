"""From CTC's logits to units: the blank is left out, and what is said in frames that follow one another is one unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Emitted:
    """What was said in a row, unit by unit. units: numbers      starts, ends: frames of each, the end left out

    probabilities: mean of the frames of each unit, 0..1      blanks: frames that say nothing, of `frames`
    words: of a lexicon with pronunciations, each with the number of its units; None where units are spelt
    """

    units: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    probabilities: tuple[float, ...]
    blanks: int
    frames: int
    words: tuple[tuple[str, int], ...] | None = None


def first_units(said: Emitted, number: int, frames: int) -> Emitted:
    """The first units, of the first frames."""
    starts, ends = said.starts[:number], tuple(min(end, frames) for end in said.ends[:number])
    blanks = frames - sum(end - start for start, end in zip(starts, ends, strict=True))
    return Emitted(said.units[:number], starts, ends, said.probabilities[:number], blanks, frames)


def greedy(logits: Tensor, lengths: Tensor, *, blank: int = 0) -> list[Emitted]:
    """The most probable unit of each frame, repetitions and blanks taken out (Graves et al. 2006, section 3.2).

    logits: (T, N, C)      lengths: (N,) frames of each row, on any device
    """
    best, units = logits.detach().softmax(2).max(2)
    found, sure = units.T.cpu().numpy(), best.T.cpu().double().numpy()
    return [
        collapsed(row[:length], chance[:length], blank)
        for row, chance, length in zip(found, sure, lengths.tolist(), strict=True)
    ]


def collapsed(path: NDArray[np.int64], chances: NDArray[np.float64], blank: int = 0) -> Emitted:
    """A path (T,) of one unit a frame as what it says; chances: (T,) of these units."""
    if not len(path):
        return Emitted((), (), (), (), 0, 0)
    edges = np.flatnonzero(np.diff(path)) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(path)]])
    runs = [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if path[a] != blank]
    return Emitted(
        tuple(int(path[a]) for a, _ in runs),
        tuple(a for a, _ in runs),
        tuple(b for _, b in runs),
        tuple(float(chances[a:b].mean()) for a, b in runs),
        int((path == blank).sum()),
        len(path),
    )
