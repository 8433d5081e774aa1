"""Words in groups, each around a centre, by k-means."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.word_vectors.table import Array, WordVectors

# Rounds of k-means at most; it ends before where no word changes its group.
ROUNDS = 100


class Group(NamedTuple):
    """name: the word nearest to the centre      words: all of them, the nearest first"""

    name: str
    words: tuple[str, ...]


def grouped(vectors: WordVectors, number: int, *, among: int) -> list[Group]:
    """The first `among` words in at most so many groups by their directions, the largest group first."""
    there = np.flatnonzero(vectors.units[:among].any(1))
    units = vectors.units[there]
    of, centres = k_means(units, number)
    found = []
    for k, centre in enumerate(centres):
        members = np.flatnonzero(of == k)
        nearest = members[np.argsort(-(units[members] @ centre), kind="stable")]
        words = tuple(vectors.words[there[n]] for n in nearest)
        found.append(Group(words[0], words))
    return sorted(found, key=lambda group: -len(group.words))


def k_means(points: Array, number: int, seed: int = 0) -> tuple[NDArray[np.int64], Array]:
    """(N,) the group of each point, and (K, d) their means, K at most `number` and the number of different points.

    Source: Lloyd 1982, "Least squares quantization in PCM"; centres begin as in Arthur and Vassilvitskii 2007
    (k-means++), each at a point that is far from those before with a high chance.
    """
    chance, squares = np.random.default_rng(seed), (points * points).sum(1)
    centres = points[:1]
    away = _distances(points, squares, centres)[:, 0]
    while len(centres) < number and away.sum() > 1e-6 * squares.sum():
        chosen = int(np.searchsorted(np.cumsum(away), chance.random() * away.sum()))
        centres = np.concatenate((centres, points[min(chosen, len(points) - 1)][None]))
        away = np.minimum(away, _distances(points, squares, centres[-1:])[:, 0])
    of = np.full(len(points), -1)
    for _ in range(ROUNDS):
        nearest = _distances(points, squares, centres).argmin(1)
        if np.array_equal(nearest, of):
            break
        of = nearest
        kept = np.unique(of)  # a centre that lost all of its points goes
        centres = np.stack([points[of == k].mean(0) for k in kept]).astype(np.float32)
        of = np.searchsorted(kept, of)
    return of, centres


def _distances(points: Array, squares: Array, centres: Array) -> NDArray[np.float64]:
    """(N, K) squared distances."""
    apart: NDArray[np.float64] = squares[:, None] - 2.0 * (points @ centres.T) + (centres * centres).sum(1)
    return np.maximum(apart, 0)
