"""The order of an epoch whose rows stand in many files, of which a window of rows is in memory at once.

The files come in an order that is drawn, and their rows one behind the other: the stream of an epoch. It is cut into
windows of `buffer` rows. In each of them rows are drawn, put beside those of like lengths, cut into batches, and the
batches drawn. A function of (seed, epoch), of the rows of each file and of the buffer, and of nothing else: not of the
number of ranks, nor of where an epoch goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.batches import Batches, by_bucket, cut_batches, epoch_batches
from recurra.data.ordering import Places, places_of, sorting


class Stream:
    """The rows of files in the order in which an epoch reads them.

    bounds: (F + 1,) number of the first row of each file, and the end      files: (F,) in their order
    random: what else of this epoch is drawn from
    """

    def __init__(self, bounds: NDArray[np.int64], seed: int | None = None, epoch: int = 0) -> None:
        """seed: None for the order in which the files stand"""
        number = len(bounds) - 1
        # Raw numbers of the generator, sorted: NumPy promises that these never change, which it does not of shuffle().
        self.random = np.random.Philox(np.random.SeedSequence((seed or 0, epoch)))
        self.files: Places = np.arange(number) if seed is None else sorting(self.random.random_raw(number))
        self._bounds = bounds
        self._firsts = np.concatenate([[0], np.diff(bounds)[self.files].cumsum()]).astype(np.int64)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """The numbers of the rows at places start..stop."""
        places = np.arange(start, min(stop, int(self._firsts[-1])))
        turns = np.searchsorted(self._firsts, places, side="right") - 1
        found: NDArray[np.int64] = self._bounds[self.files[turns]] + places - self._firsts[turns]
        return found

    def place(self, row: int) -> int:
        """Where a row comes."""
        file = int(np.searchsorted(self._bounds, row, side="right")) - 1
        turn = int(np.flatnonzero(self.files == file)[0])
        return int(self._firsts[turn]) + row - int(self._bounds[file])

    def turn(self, place: int) -> tuple[int, int]:
        """Which of `files` a place is in, and how many of its rows come before."""
        turn = int(np.searchsorted(self._firsts, place, side="right")) - 1
        return turn, place - int(self._firsts[turn])


def windowed_batches(
    lengths: NDArray[Any],
    bounds: NDArray[np.int64],
    *,
    buffer: int,
    token_budget: int,
    max_sequences: int,
    seed: int,
    epoch: int,
) -> Batches:
    """The batches of an epoch, as numbers of rows; no batch has rows of two windows.

    lengths: (N,) time steps of each row, those of one file behind those of another      bounds: as of `Stream`
    token_budget, max_sequences: as of `epoch_batches`
    Raises ConfigError for a limit or a buffer under 1, a negative seed or epoch.
    """
    if min(buffer, token_budget, max_sequences) < 1 or min(seed, epoch) < 0:
        raise ConfigError(
            "batches: expected limits and a buffer of at least 1, seed and epoch of at least 0, got "
            f"{token_budget}, {max_sequences}, {buffer}, {seed} and {epoch}."
        )
    stream = Stream(bounds, seed, epoch)
    order: Places = places_of(np.empty(0), len(lengths), size=len(lengths))
    starts, numbers, batches = [np.zeros(1, np.int64)], [np.zeros(0, np.int64)], 0
    for first in range(0, len(lengths), buffer):
        rows = stream.rows(first, first + buffer)
        steps = lengths[rows]
        mixed = by_bucket(sorting(stream.random.random_raw(len(rows))), steps)
        cuts = cut_batches(mixed, steps, token_budget, max_sequences)
        order[first : first + len(rows)] = rows[mixed]
        starts.append(cuts[1:] + first)
        numbers.append(sorting(stream.random.random_raw(len(cuts) - 1)).astype(np.int64) + batches)
        batches += len(cuts) - 1
    return Batches(order, np.concatenate(starts), places_of(np.concatenate(numbers), batches))


def ordered_batches(lengths: NDArray[Any], *, buffer: int, token_budget: int, max_sequences: int) -> Batches:
    """The batches in which rows are answered: by length, but window after window as they stand in the files."""
    order: Places = places_of(np.empty(0), len(lengths), size=len(lengths))
    starts = [0]
    for first in range(0, len(lengths), buffer):
        steps = lengths[first : first + buffer]
        limits = {"token_budget": token_budget, "max_sequences": max_sequences}
        for batch in epoch_batches(steps, **limits, seed=0, epoch=0, shuffle=False):
            order[starts[-1] : starts[-1] + len(batch)] = np.array(batch) + first
            starts.append(starts[-1] + len(batch))
    return Batches(order, np.array(starts), range(len(starts) - 1))
