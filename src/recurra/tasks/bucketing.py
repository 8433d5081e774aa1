"""Batches of like lengths, for tasks whose examples do not follow one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recurra.base.contracts import Batch
from recurra.data.batches import Batches, epoch_batches, part_of
from recurra.data.store import Reread, lengths_of

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
        indices = share(self.examples, item, rows)
        if not indices:
            return Batch({}, torch.zeros(0, dtype=torch.int64), {}, ())
        return self.collate(taken(self.examples, indices), indices)


def planned(examples: Sequence[Any], *, token_budget: int, max_sequences: int, seed: int, epoch: int) -> Batches:
    """The batches of an epoch: of all examples, or within windows of those whose rows stay in their files."""
    if isinstance(examples, Reread):
        return examples.planned(seed, epoch, token_budget=token_budget, max_sequences=max_sequences)
    lengths = lengths_of(examples)
    return epoch_batches(lengths, token_budget=token_budget, max_sequences=max_sequences, seed=seed, epoch=epoch)


def share(examples: Sequence[Any], indices: tuple[int, ...], rows: slice) -> tuple[int, ...]:
    """Those of a batch that a slice means; of rows that stay in their files the part of a rank is in one piece."""
    if isinstance(examples, Reread) and rows.step is not None:
        return part_of(indices, rows.start, rows.step)
    return indices[rows]


def taken(examples: Sequence[Any], indices: Sequence[int]) -> list[Any]:
    """The examples of these indices."""
    return examples.gathered(indices) if isinstance(examples, Reread) else [examples[i] for i in indices]
