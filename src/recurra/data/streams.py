"""Documents as streams: which chunk of which document each row of a batch reads, for truncated back-propagation.

A function of (seed, epoch) and of nothing else, as `epoch_batches` is: the place in an epoch is one integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.ordering import sorting

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunks:
    """A chunk for each row of a batch, N of each. A row that is out of text has length 0.

    documents: which one      starts: the first step      lengths: 0..bptt steps
    fresh: the state before the chunk is zero; elsewhere it is the one that this row's chunk before has left
    """

    documents: Ints
    starts: Ints
    lengths: Ints
    fresh: NDArray[np.bool_]

    def of(self, rows: slice) -> Chunks:
        """Those of some rows."""
        return Chunks(self.documents[rows], self.starts[rows], self.lengths[rows], self.fresh[rows])


class Streams:
    """All batches of one epoch.

    The documents, in an order drawn from (seed, epoch), are cut into chunks of at most bptt steps, none of which
    crosses the end of a document. Row n of N reads the n-th of N runs of chunks that follow one another; runs differ by
    one chunk at most, and one that begins inside a document begins with a state of zero. So each step of each document
    is in one batch, once. The first chunk of a document longer than bptt has a length from 1 to bptt, drawn from (seed,
    epoch), so that the gradient is not cut at the same places in every epoch.

    lengths: steps of each document, 0 allowed        rows: N; fewer where there are not as many chunks
    Raises ConfigError for bptt or rows under 1, a negative seed, epoch or length.
    """

    def __init__(self, lengths: Sequence[int] | Ints, *, bptt: int, rows: int, seed: int, epoch: int) -> None:
        steps = np.asarray(lengths, dtype=np.int64)
        low = min(bptt - 1, rows - 1, seed, epoch, int(steps.min(initial=0)))
        if low < 0:
            raise ConfigError(
                "streams: expected bptt and rows of at least 1, seed, epoch and lengths of at least 0, got "
                f"{bptt}, {rows}, {seed}, {epoch} and {steps.min(initial=0)}."
            )
        # Raw numbers of the generator: NumPy promises that these never change, which it does not of shuffle().
        random = np.random.Philox(np.random.SeedSequence((seed, epoch)))
        order = sorting(random.random_raw(len(steps)))
        # The documents in the order in which they are read, their steps, and the number of each one's first chunk:
        # sixteen bytes for each document, however many chunks it has.
        self._order, self._steps, self._bptt = order, steps, bptt
        self._head = 1 + int(random.random_raw(1)[0] % bptt)
        self._firsts = np.zeros(len(steps) + 1, np.int64)
        np.cumsum(self._counts(steps[order]), out=self._firsts[1:])
        number = int(self._firsts[-1])
        self.rows = min(rows, number)
        self._bounds = np.arange(self.rows + 1, dtype=np.int64) * number // max(self.rows, 1)

    def __len__(self) -> int:
        """Batches of the epoch."""
        return int(np.diff(self._bounds).max(initial=0))

    def __getitem__(self, step: int) -> Chunks:
        """The batch of a step, 0 <= step < len."""
        places = self._bounds[:-1] + step
        here = places < self._bounds[1:]
        documents, starts, lengths = self._chunks(np.minimum(places, int(self._firsts[-1]) - 1))
        fresh = (starts == 0) | (step == 0)
        return Chunks(documents, starts, np.where(here, lengths, 0), fresh & here)

    def _heads(self, steps: Ints) -> Ints:
        """Steps of the first chunk of documents of so many steps."""
        return np.where(steps > self._bptt, self._head, np.minimum(steps, self._bptt))

    def _counts(self, steps: Ints) -> Ints:
        """Chunks of documents of so many steps."""
        counts: Ints = (steps > 0) + -(-(steps - self._heads(steps)) // self._bptt)
        return counts

    def _chunks(self, numbers: Ints) -> tuple[Ints, Ints, Ints]:
        """Of chunks by their numbers: the document, where they start in it, and their steps."""
        places = np.searchsorted(self._firsts, numbers, side="right") - 1
        documents = self._order[places].astype(np.int64)
        steps, place = self._steps[documents], numbers - self._firsts[places]  # 0, 1, ... within a document
        heads = self._heads(steps)
        starts = np.where(place == 0, 0, heads + (place - 1) * self._bptt)
        return documents, starts, np.minimum(np.where(place == 0, heads, self._bptt), steps - starts)
