"""Which rows make which batch, and what is drawn for them in it: a function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.base.contracts import Batch
from recurra.tasks.bucketing import ALL, planned, share, taken


@dataclass(frozen=True, slots=True)
class DrawnSampler:
    """All rows in each epoch, those of like lengths together, with what each epoch draws for them: noise, or a mask.

    drawn: of the task, makes a batch of examples, maybe none, with their indices, a seed and an epoch
    """

    examples: Sequence[Any]
    drawn: Callable[[Sequence[Any], Sequence[int], int, int], Batch]
    batch_tokens: int
    batch_rows: int
    seed: int
    carries: bool = False

    def plan(self, epoch: int) -> Sequence[tuple[int, tuple[int, ...]]]:
        """The batches of an epoch, as its number and indices."""
        limits = {"token_budget": self.batch_tokens, "max_sequences": self.batch_rows}
        found = planned(self.examples, seed=self.seed, epoch=epoch, **limits)
        return [(epoch, indices) for indices in found]

    def batch(self, item: tuple[int, tuple[int, ...]], rows: slice = ALL) -> Batch:
        """The examples of these indices, with what the epoch draws for them."""
        epoch, indices = item[0], share(self.examples, item[1], rows)
        return self.drawn(taken(self.examples, indices), indices, self.seed, epoch)
