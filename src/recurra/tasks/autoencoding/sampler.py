"""Which rows make which batch, and which noise they have in it: a function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recurra.base.contracts import Batch
from recurra.data.batches import epoch_batches
from recurra.data.store import lengths_of
from recurra.tasks.bucketing import ALL


@dataclass(frozen=True, slots=True)
class NoisySampler:
    """All rows in each epoch, with a noise of their own in each.

    noisy: of the task, makes a batch of examples with their indices, a seed and an epoch
    """

    examples: Sequence[Any]
    noisy: Callable[[Sequence[Any], Sequence[int], int, int], Batch]
    batch_tokens: int
    batch_rows: int
    seed: int
    carries: bool = False

    def plan(self, epoch: int) -> Sequence[tuple[int, tuple[int, ...]]]:
        """The batches of an epoch, as its number and indices."""
        found = epoch_batches(
            lengths_of(self.examples),
            token_budget=self.batch_tokens,
            max_sequences=self.batch_rows,
            seed=self.seed,
            epoch=epoch,
        )
        return [(epoch, indices) for indices in found]

    def batch(self, item: tuple[int, tuple[int, ...]], rows: slice = ALL) -> Batch:
        """The examples of these indices, with the noise of the epoch."""
        epoch, indices = item[0], item[1][rows]
        if not indices:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        return self.noisy([self.examples[i] for i in indices], indices, self.seed, epoch)
