"""The order of an epoch whose rows stand in files, of which a window of rows is in memory at once.

Pieces of files come in an order that is drawn, and their rows one behind the other: the stream of an epoch. It is cut
into windows of `buffer` rows. In each of them rows are put beside those of like lengths, drawn so that each batch has
some of every part of the window, cut into batches, and the batches drawn. A function of (seed, epoch), of the rows of
each piece and of the buffer, and of nothing else: not of the number of ranks, nor of where an epoch goes on.

In a batch rows stand in the order of the stream. So a rank that takes the r-th part of each batch needs little more
than the r-th part of a window.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.batches import Batches, bucket_of, cut_batches, epoch_batches
from recurra.data.ordering import Places, places_of, sorting

# Parts of a window of which a batch has as many rows each, as far as there are enough: a power of two.
STRATA = 64
# Another number for each order that there was: within an epoch no other one can go on.
ORDER = 2


class Stream:
    """The rows of pieces of files in the order in which an epoch reads them.

    bounds: (P + 1,) number of the first row of each piece, and the end      pieces: (P,) in their order
    random: what else of this epoch is drawn from
    """

    def __init__(self, bounds: NDArray[np.int64], seed: int | None = None, epoch: int = 0) -> None:
        """seed: None for the order in which they stand"""
        number = len(bounds) - 1
        # Raw numbers of the generator, sorted: NumPy promises that these never change, which it does not of shuffle().
        self.random = np.random.Philox(np.random.SeedSequence((seed or 0, epoch)))
        self.pieces: Places = np.arange(number) if seed is None else sorting(self.random.random_raw(number))
        self._bounds = bounds
        self._firsts = np.concatenate([[0], np.diff(bounds)[self.pieces].cumsum()]).astype(np.int64)
        self._turns = np.empty(number, np.int64)
        self._turns[self.pieces] = np.arange(number)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """The numbers of the rows at places start..stop."""
        places = np.arange(start, min(stop, int(self._firsts[-1])))
        turns = np.searchsorted(self._firsts, places, side="right") - 1
        found: NDArray[np.int64] = self._bounds[self.pieces[turns]] + places - self._firsts[turns]
        return found

    def place(self, row: int) -> int:
        """Where a row comes."""
        piece = int(np.searchsorted(self._bounds, row, side="right")) - 1
        return int(self._firsts[self._turns[piece]]) + row - int(self._bounds[piece])


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
    """The batches of an epoch, as numbers of rows in the order of the stream; no batch has rows of two windows.

    lengths: (N,) time steps of each row, those of one piece behind those of another      bounds: as of `Stream`
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
        mixed = _mixed(stream.random.random_raw(len(rows)), steps)
        cuts = cut_batches(mixed, steps, token_budget, max_sequences)
        batch = np.repeat(np.arange(len(cuts) - 1), np.diff(cuts))
        order[first : first + len(rows)] = rows[mixed[np.lexsort((mixed, batch))]]
        starts.append(cuts[1:] + first)
        numbers.append(sorting(stream.random.random_raw(len(cuts) - 1)).astype(np.int64) + batches)
        batches += len(cuts) - 1
    return Batches(order, np.concatenate(starts), places_of(np.concatenate(numbers), batches))


def _mixed(drawn: NDArray[np.uint64], steps: NDArray[Any]) -> Places:
    """The places of a window, those of one bucket of lengths together.

    The m of a bucket are in S parts of like sizes as they stand, S the largest power of two up to m and to STRATA. The
    number that is drawn for a place sorts those of a part. First comes the first one of each part, then the second of
    each, and so on, the parts by their numbers read from the last bit to the first, so that of any that follow one
    another about as many are of each half, quarter and eighth of the window.
    """
    buckets = bucket_of(steps)
    order = np.argsort(buckets, kind="stable")
    sizes = np.unique(buckets, return_counts=True)[1]
    size = np.repeat(sizes, sizes)
    number = np.arange(len(steps)) - np.repeat(sizes.cumsum() - sizes, sizes)
    parts = _POWERS[np.searchsorted(_POWERS, size, side="right") - 1]
    part = number * parts // size
    begins = -(-part * size // parts)  # numbers of the same bucket in the parts before
    inside = order[np.lexsort((drawn[order], part, buckets[order]))]
    turn = _REVERSED[part * (STRATA // parts)]
    return places_of(inside[np.lexsort((turn, number - begins, buckets[order]))], len(steps))


def _reversed(number: int) -> NDArray[np.int64]:
    """0..number-1, a power of two, each with its bits in the other order (van der Corput 1935)."""
    found = np.zeros(1, np.int64)
    while len(found) < number:
        found = np.concatenate([found * 2, found * 2 + 1])
    return found


_REVERSED = _reversed(STRATA)
_POWERS = 2 ** np.arange(STRATA.bit_length())


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
