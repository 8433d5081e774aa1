"""Batches of like lengths, for tasks whose examples do not follow one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recurra.base.contracts import Batch
from recurra.data.batches import epoch_batches
from recurra.data.store import lengths_of

ALL = slice(None)


@dataclass(frozen=True, slots=True)
class BucketSampler:
    """The order of examples that are read one by one: all of them in each epoch, those of like lengths together.

    collate: of the task      batch_tokens, batch_rows: limits of a batch, padding among the tokens
    """

    examples: Sequence[Any]
    collate: Callable[[Sequence[Any], Sequence[int]], Batch]
    batch_tokens: int
    batch_rows: int
    seed: int
    carries: bool = False

    def plan(self, epoch: int) -> Sequence[tuple[int, ...]]:
        """The batches of an epoch, as indices."""
        return epoch_batches(
            lengths_of(self.examples),
            token_budget=self.batch_tokens,
            max_sequences=self.batch_rows,
            seed=self.seed,
            epoch=epoch,
        )

    def batch(self, item: tuple[int, ...], rows: slice = ALL) -> Batch:
        """The examples of these indices."""
        indices = item[rows]
        if not indices:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        return self.collate([self.examples[i] for i in indices], indices)
