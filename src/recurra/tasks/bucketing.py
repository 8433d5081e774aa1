"""Batches of like lengths, for tasks whose examples do not follow one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from recurra.base.contracts import Batch
from recurra.data.batches import Batches, epoch_batches
from recurra.data.store import Reread, lengths_of
from recurra.data.windows import windowed_batches

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
        limits = {"token_budget": self.batch_tokens, "max_sequences": self.batch_rows}
        return planned(self.examples, seed=self.seed, epoch=epoch, **limits)

    def batch(self, item: tuple[int, ...], rows: slice = ALL) -> Batch:
        """The examples of these indices."""
        indices = item[rows]
        if not indices:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        return self.collate(taken(self.examples, indices), indices)


def planned(examples: Sequence[Any], *, token_budget: int, max_sequences: int, seed: int, epoch: int) -> Batches:
    """The batches of an epoch: of all examples, or within windows of those whose rows stay in their files."""
    plan = epoch_batches
    if isinstance(examples, Reread):
        plan = partial(windowed_batches, bounds=examples.bounds, buffer=examples.buffer)
    lengths = lengths_of(examples)
    return plan(lengths, token_budget=token_budget, max_sequences=max_sequences, seed=seed, epoch=epoch)


def taken(examples: Sequence[Any], indices: Sequence[int]) -> list[Any]:
    """The examples of these indices."""
    return examples.gathered(indices) if isinstance(examples, Reread) else [examples[i] for i in indices]
