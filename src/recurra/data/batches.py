"""Which examples go together, and in which order: a function of (seed, epoch), and of nothing else.

Not of the number of workers or ranks, of PYTHONHASHSEED, or of what came before: so the place in an epoch is one
integer, and going on after a stop is `epoch_batches(...)[position:]`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.data.ordering import CHUNK, Places, grouping, sorting

# Lengths up to this ratio share a bucket, so at most 9 % of a batch is padding unless it spans two buckets.
_BUCKET_RATIO = (11, 10)


class Batches(Sequence[tuple[int, ...]]):
    """The batches of an epoch, as indices of examples: four bytes for each of these, and 16 for each batch."""

    def __init__(self, order: Places, starts: NDArray[np.int64], numbers: Places | range) -> None:
        """order: the examples, one batch after the other      starts: of these, and the end      numbers: of batches"""
        self._order, self._starts, self._numbers = order, starts, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> Batches: ...
    def __getitem__(self, at: int | slice) -> tuple[int, ...] | Batches:
        if isinstance(at, slice):
            return Batches(self._order, self._starts, self._numbers[at])
        number = int(self._numbers[range(len(self))[at]])
        return tuple(self._order[self._starts[number] : self._starts[number + 1]].tolist())

    def examples_of_part(self, first: int, last: int, rank: int, ranks: int) -> NDArray[np.int64]:
        """The examples of the `part_of` a rank of the batches that hold first..last of all examples, as they stand."""
        low, high = np.searchsorted(self._starts, [first, last]).tolist()
        starts = self._starts[low : high + 1]
        sizes = np.diff(starts)
        inside = np.arange(int(starts[-1] - starts[0])) - np.repeat(starts[:-1] - starts[0], sizes)
        begins, ends = (np.repeat(-(-sizes * number // ranks), sizes) for number in (rank, rank + 1))
        ours = (begins <= inside) & (inside < ends)
        found: NDArray[np.int64] = self._order[starts[0] : starts[-1]][ours].astype(np.int64)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(list(self))


def part_of(batch: tuple[int, ...], rank: int, ranks: int) -> tuple[int, ...]:
    """The part of a batch that a rank takes, one behind the other."""
    begin, end = (-(-len(batch) * number // ranks) for number in (rank, rank + 1))  # the first has the most
    return batch[begin:end]


def epoch_batches(
    lengths: Sequence[int] | NDArray[Any],
    *,
    token_budget: int,
    max_sequences: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
) -> Batches:
    """The batches of an epoch, as indices of examples; each example is in one of them, once.

    lengths: (N,) time steps of each example, 0 allowed
    token_budget: padded steps in a batch, at most: N times the longest. A longer example is a batch of its own.
    max_sequences: examples in a batch, at most
    shuffle: False gives the order for evaluation: by length, whatever seed and epoch.
    Raises ConfigError for a limit under 1, a negative seed, epoch or length.
    """
    _check(token_budget=token_budget, max_sequences=max_sequences)
    if seed < 0 or epoch < 0:
        raise ConfigError(f"batches: expected seed and epoch of at least 0, got {seed} and {epoch}.")
    steps = np.asarray(lengths, dtype=None if isinstance(lengths, np.ndarray) else np.int64)
    if steps.size and steps.min() < 0:
        raise ConfigError(f"batches: expected lengths of at least 0, got {steps.min()}.")
    if not shuffle:
        order = np.argsort(steps, kind="stable").astype(np.int64)
        starts = cut_batches(order, steps, token_budget, max_sequences)
        return Batches(order, starts, range(len(starts) - 1))
    # Raw numbers of the generator, sorted: NumPy promises that these never change, which it does not of shuffle().
    random = np.random.Philox(np.random.SeedSequence((seed, epoch)))
    mixed = by_bucket(sorting(random.random_raw(len(steps))), steps)
    starts = cut_batches(mixed, steps, token_budget, max_sequences)
    return Batches(mixed, starts, sorting(random.random_raw(len(starts) - 1)))


def _check(**limits: int) -> None:
    for name, value in limits.items():
        if value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}.")


def by_bucket(drawn: Places, steps: NDArray[Any]) -> Places:
    """The rows in the order in which they were drawn, but those of one bucket together."""
    edges = _edges(int(steps.max(initial=1)))
    order, _ = grouping(len(drawn), lambda part: bucket_of(steps[drawn[part]], edges), len(edges) + 1)
    for start in range(0, len(order), CHUNK):  # in place: another array of all rows is not needed
        order[start : start + CHUNK] = drawn[order[start : start + CHUNK]]
    return order


def bucket_of(steps: NDArray[Any], edges: NDArray[np.int64] | None = None) -> NDArray[np.uint16]:
    """The number of the bucket that each length is in. edges: where each begins; None: as far as the longest needs"""
    edges = _edges(int(steps.max(initial=1))) if edges is None else edges
    return np.searchsorted(edges, steps, side="right").astype(np.uint16)


def _edges(longest: int) -> NDArray[np.int64]:
    """Where each bucket of lengths begins. Integers only: a logarithm may round differently on another processor."""
    edges = [1]
    while edges[-1] <= longest:
        edges.append(max(edges[-1] + 1, edges[-1] * _BUCKET_RATIO[0] // _BUCKET_RATIO[1]))
    return np.array(edges)


def cut_batches(order: Places, steps: NDArray[Any], token_budget: int, max_sequences: int) -> NDArray[np.int64]:
    """Where the batches begin, as large as the limits allow, and the end."""
    if len(order) and steps.min() == steps.max():  # as of the windows of a back-test, where a loop would be seen
        rows = max(1, min(max_sequences, token_budget // max(int(steps[0]), 1)))
        return np.array([*range(0, len(order), rows), len(order)], dtype=np.int64)
    starts = array("q")
    longest = count = 0
    for first in range(0, len(order), CHUNK):
        lengths = np.maximum(steps[order[first : first + CHUNK]], 1).tolist()
        for place, length in enumerate(lengths, start=first):
            longest = max(longest, length)
            if count == 0 or count == max_sequences or (count + 1) * longest > token_budget:
                starts.append(place)
                longest, count = length, 0
            count += 1
    return np.array([*starts, len(order)], dtype=np.int64)
