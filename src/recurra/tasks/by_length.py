"""Batches of like lengths, for tasks whose examples do not follow one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Batch
from recurra.data.batches import epoch_batches


@dataclass(frozen=True, slots=True)
class ByLength:
    """The order of examples that are read one by one: all of them in each epoch, those of like lengths together.

    collate: of the task      batch_tokens, batch_rows: limits of a batch, padding among the tokens
    """

    examples: Sequence[Any]
    collate: Callable[[Sequence[Any], Sequence[int]], Batch]
    batch_tokens: int
    batch_rows: int
    seed: int
    carries: bool = False

    def plan(self, epoch: int) -> list[tuple[int, ...]]:
        """The batches of an epoch, as indices."""
        return epoch_batches(
            [e.length for e in self.examples],
            token_budget=self.batch_tokens,
            max_sequences=self.batch_rows,
            seed=self.seed,
            epoch=epoch,
        )

    def batch(self, item: tuple[int, ...]) -> Batch:
        """The examples of these indices."""
        return self.collate([self.examples[i] for i in item], item)
