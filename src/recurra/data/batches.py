"""Which examples go together, and in which order: a function of (seed, epoch), and of nothing else.

Not of the number of workers or ranks, of PYTHONHASHSEED, or of what came before: so the place in an epoch is one
integer, and going on after a stop is `epoch_batches(...)[position:]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError

# Lengths up to this ratio share a bucket, so at most 9 % of a batch is padding unless it spans two buckets.
_BUCKET_RATIO = (11, 10)


def epoch_batches(
    lengths: Sequence[int] | NDArray[np.int64],
    *,
    token_budget: int,
    max_sequences: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
) -> list[tuple[int, ...]]:
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
    steps = np.asarray(lengths, dtype=np.int64)
    if steps.size and steps.min() < 0:
        raise ConfigError(f"batches: expected lengths of at least 0, got {steps.min()}.")
    if not shuffle:
        order = np.argsort(steps, kind="stable")
        return _cut(order, steps, token_budget, max_sequences)
    # Raw numbers of the generator, sorted: NumPy promises that these never change, which it does not of shuffle().
    random = np.random.Philox(np.random.SeedSequence((seed, epoch)))
    drawn = _permutation(random, len(steps))
    order = drawn[np.argsort(_buckets(steps)[drawn], kind="stable")]
    batches = _cut(order, steps, token_budget, max_sequences)
    return [batches[number] for number in _permutation(random, len(batches)).tolist()]


def _check(**limits: int) -> None:
    for name, value in limits.items():
        if value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}.")


def _permutation(random: np.random.Philox, number: int) -> NDArray[np.int64]:
    return np.argsort(random.random_raw(number), kind="stable")


def _buckets(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each length's bucket. Integers only: a logarithm may round differently on another processor."""
    edges = [1]
    longest = int(steps.max(initial=1))
    while edges[-1] <= longest:
        edges.append(max(edges[-1] + 1, edges[-1] * _BUCKET_RATIO[0] // _BUCKET_RATIO[1]))
    return np.searchsorted(np.array(edges), steps, side="right")


def _cut(
    order: NDArray[np.int64], steps: NDArray[np.int64], token_budget: int, max_sequences: int
) -> list[tuple[int, ...]]:
    """Cut an order into batches as long as the limits allow."""
    starts: list[int] = []
    longest = count = 0
    for place, length in enumerate(np.maximum(steps[order], 1).tolist()):
        longest = max(longest, length)
        if count == 0 or count == max_sequences or (count + 1) * longest > token_budget:
            starts.append(place)
            longest, count = length, 0
        count += 1
    indices = order.tolist()
    return [tuple(indices[start:stop]) for start, stop in pairwise([*starts, len(indices)])]
