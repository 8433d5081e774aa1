"""What counting reaches on a text: how often a token occurs, and how often after the one before it.

NumPy on numbers 0..V-1; all of a text at once, so that two million tokens take a second or two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
# Where too few things were counted once or twice for the estimate of Ney et al.
USUAL_DISCOUNT = 0.5


class Unigram:
    """p(w) = (c(w) + 1) / (n + V): one more than it occurs, so that nothing has probability 0 (Laplace)."""

    def __init__(self, tokens: Ints, size: int) -> None:
        self._log = np.log(np.bincount(tokens, minlength=size) + 1) - np.log(len(tokens) + size)

    def nats(self, tokens: Ints) -> Floats:
        """-log p of each token."""
        nats: Floats = -self._log[tokens]
        return nats


class Bigram:
    """Interpolated Kneser-Ney: what follows a word v, and what follows many different words.

    p(w | v) = max(c(v w) - D, 0) / c(v) + D k(v) / c(v) p'(w), k(v) the different words after v; p' is the same of the
    number of different words before w, and falls back to 1 / V; D = n_1 / (n_1 + 2 n_2) of each, from what was counted
    once and twice. After a word that was never followed by one, p = p'.
    Sources: Kneser & Ney 1995, "Improved backing-off for m-gram language modeling"; the interpolated form: Chen &
    Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.7.

    before, after: (n,) the pairs of training      size: V
    """

    def __init__(self, before: Ints, after: Ints, size: int) -> None:
        self._size = size
        self._pairs, counts = np.unique(before * size + after, return_counts=True)
        first, second = self._pairs // size, self._pairs % size
        self._discount = discount(counts)
        self._held = np.maximum(counts - self._discount, 0)
        self._times = np.bincount(first, weights=counts, minlength=size)
        self._different = np.bincount(first, minlength=size)
        self._lower = _continuation(np.bincount(second, minlength=size), size)

    def probabilities(self, before: Ints, after: Ints) -> Floats:
        """p(after | before) of each pair."""
        codes = before * self._size + after
        places = np.minimum(np.searchsorted(self._pairs, codes), len(self._pairs) - 1)
        held = np.where(self._pairs[places] == codes, self._held[places], 0.0)
        times, different = self._times[before], self._different[before]
        backed = np.where(times > 0, self._discount * different, 1.0)
        found: Floats = (held + backed * self._lower[after]) / np.maximum(times, 1)
        return found

    def nats(self, before: Ints, after: Ints) -> Floats:
        """-log p of each pair."""
        nats: Floats = -np.log(self.probabilities(before, after))
        return nats


def discount(counts: Ints) -> float:
    """What to take from each count: n_1 / (n_1 + 2 n_2), of how many were counted once and twice."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else USUAL_DISCOUNT


def _continuation(different: Ints, size: int) -> Floats:
    """p' of all words, from the number of different words before each."""
    D = discount(different[different > 0])
    rest = D * np.count_nonzero(different) / size
    lower: Floats = (np.maximum(different - D, 0) + rest) / different.sum()
    return lower
