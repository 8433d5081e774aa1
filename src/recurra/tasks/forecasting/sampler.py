"""Which windows make which batch: a function of the seed and the epoch, drawn with no Python for each window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Batch

ALL = slice(None)
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WindowSampler:
    """Batches of training windows.

    first, last: (N,) the first and the last cut of each series      number: windows of an epoch, None: all there are
    collate: series, cuts and angles to a batch      rows: of a batch      turns: whether each window is turned
    Windows that are drawn come from each series alike, at a cut of its own in each epoch.
    """

    first: Ints
    last: Ints
    number: int | None
    collate: Callable[[Ints, Ints, Floats | None], Batch]
    rows: int
    seed: int
    turns: bool = False
    carries: bool = False

    def plan(self, epoch: int) -> list[Any]:
        """The batches of an epoch: (2, N) series and cuts each, and a third row, of which angles are made."""
        random = np.random.Philox(np.random.SeedSequence((self.seed, epoch)))
        pairs = self._all(random) if self.number is None else self._drawn(random, self.number)
        if self.turns:
            raw = np.asarray(random.random_raw(pairs.shape[1]), np.uint64) >> np.uint64(11)
            pairs = np.concatenate([pairs, raw.astype(np.int64)[None]])
        return [pairs[:, start : start + self.rows] for start in range(0, pairs.shape[1], self.rows)]

    def _all(self, random: np.random.Philox) -> Ints:
        counts = self.last - self.first + 1
        series = np.repeat(np.arange(len(counts)), counts)
        cuts = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(self.first, counts)
        order = np.argsort(random.random_raw(len(series)), kind="stable")
        return np.stack([series, cuts])[:, order]

    def _drawn(self, random: np.random.Philox, number: int) -> Ints:
        counts = (self.last - self.first + 1).astype(np.uint64)
        rounds = -(-number // len(counts))
        orders = [np.argsort(random.random_raw(len(counts)), kind="stable") for _ in range(rounds)]
        series = np.concatenate(orders)[:number]
        # Counts are far under 2^32, so that the remainder of 64 bits favours no cut by more than 1e-9.
        cuts = self.first[series] + (random.random_raw(number) % counts[series]).astype(np.int64)
        return np.stack([series, cuts])

    def batch(self, item: Ints, rows: slice = ALL) -> Batch:
        """The windows of these series and cuts."""
        series, cuts, *turns = item[:, rows]
        if not len(series):
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        return self.collate(series, cuts, turns[0] * (2 * np.pi / 2**53) if turns else None)


def rows_of(batch_rows: int, batch_tokens: int, context: int) -> int:
    """Windows of a batch, by both limits."""
    return max(1, min(batch_rows, batch_tokens // max(context, 1)))
