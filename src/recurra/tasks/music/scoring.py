"""How well the next chord was foreseen, and what counting notes reaches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

Floats = NDArray[np.float64]


def music_scores(
    nats: Sequence[Sequence[float]], hits: Iterable[int], misses: Iterable[int], *, split: str
) -> tuple[Score, ...]:
    """Mean nats a step, with and without the first steps of pieces, and frame accuracy.

    nats: of each step of each piece, summed over its notes
    hits: notes of each piece that sounded and were foreseen; misses: those that were one of the two
    Frame accuracy is TP / (TP + FP + FN) over all notes of all steps (Bay et al. 2009, "Evaluation of multiple-F0
    estimation and tracking systems"), 1 where nothing sounds and nothing was foreseen. Bai et al. 2018
    (arXiv:1803.01271) leave out first steps, since nothing is before them.
    """
    all_steps = [value for piece in nats for value in piece]
    later = [value for piece in nats for value in piece[1:]]
    right, wrong = sum(hits), sum(misses)
    return (
        Score("nats_per_step", _mean(all_steps), "nats", "lower", split),
        Score("nats_after_first", _mean(later), "nats", "lower", split),
        Score("frame_accuracy", right / (right + wrong) if right + wrong else 1.0, "0..1", "higher", split),
    )


class Frequencies:
    """Each note by itself: how often it sounds (order 0), or how often after a step with it, and without it (order 1).

    p = (c + 1/2) / (n + 1), so that nothing is impossible (Krichevsky & Trofimov 1981).
    """

    def __init__(self, rolls: Sequence[Floats], order: int) -> None:
        self._order = order
        now = np.concatenate([roll[order:] for roll in rolls])
        if order == 0:
            self._p = _share(now)[None]
            return
        before = np.concatenate([roll[:-1] for roll in rolls])
        self._first = _share(np.stack([roll[0] for roll in rolls]))
        on = before * now
        self._p = np.stack(
            [
                ((now - on).sum(0) + 0.5) / ((1 - before).sum(0) + 1),
                (on.sum(0) + 0.5) / (before.sum(0) + 1),
            ]
        )

    def probabilities(self, roll: Floats) -> Floats:
        """Of each note at each step of a piece: (T, notes)."""
        if self._order == 0:
            return np.broadcast_to(self._p, roll.shape)
        later = np.where(roll[:-1] > 0, self._p[1], self._p[0])
        found: Floats = np.concatenate([self._first[None], later])
        return found


def step_nats(roll: Floats, p: Floats) -> Floats:
    """-log p of each step: the sum over its notes."""
    nats: Floats = -np.where(roll > 0, np.log(p), np.log1p(-p)).sum(1)
    return nats


def foreseen(roll: Floats, p: Floats) -> tuple[int, int]:
    """Notes that were foreseen (p > 1/2) and sounded; notes that were only one of the two."""
    said, sounded = p > 0.5, roll > 0
    return int((said & sounded).sum()), int((said ^ sounded).sum())


def _share(steps: Floats) -> Floats:
    share: Floats = (steps.sum(0) + 0.5) / (len(steps) + 1)
    return share


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
