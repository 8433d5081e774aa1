"""Words by the units that say them, as a tree: what may follow what was said of a word, and which words that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from recurra.base.errors import ConfigError

# Numbers of a unit, and its nats: ln p of this way to say a word, 0 where nobody knows.
Way = tuple[tuple[int, ...], float]
NEVER = -math.inf


class Pronunciations:
    """A tree over units. A node is a number, 0 the root, at which a word begins.

    words: each with its ways to be said      num_units: with the blank
    Raises ConfigError where there is none, for a word with a space in it, and for units that there are not.
    """

    def __init__(self, words: Mapping[str, Iterable[Way]], num_units: int) -> None:
        self.num_units = num_units
        self._after: dict[int, int] = {}  # node * num_units + unit
        self._above = [0]
        self._said: dict[int, dict[str, float]] = {}
        for word, ways in words.items():
            if not word or " " in word:
                raise ConfigError(f"'{word}': expected a word without a space in it.")
            for units, nats in ways:
                self._add(word, units, nats)
        if not self._said:
            raise ConfigError(
                "lexicon: has no pronunciation, so nothing could be said; expected words, or leave it out."
            )
        self._words = frozenset(word for said in self._said.values() for word in said)
        self._spelt = {node: tuple(said.items()) for node, said in self._said.items()}

    def _add(self, word: str, units: Sequence[int], nats: float) -> None:
        if not units or not all(0 < unit < self.num_units for unit in units) or not nats <= 0:
            raise ConfigError(
                f"lexicon: '{word}': expected units from 1 to {self.num_units - 1}, and nats of 0 at most, "
                f"got {tuple(units)}, {nats}."
            )
        node = 0
        for unit in units:
            key = node * self.num_units + unit
            after = self._after.get(key)
            if after is None:
                after = self._after[key] = len(self._above)
                self._above.append(node)
            node = after
        said = self._said.setdefault(node, {})
        said[word] = max(said.get(word, NEVER), nats)

    def __len__(self) -> int:
        """Nodes, the root among them."""
        return len(self._above)

    @property
    def after(self) -> Mapping[int, int]:
        """The node behind a node and a unit, by node * num_units + unit."""
        return self._after

    @property
    def words(self) -> frozenset[str]:
        """All of them."""
        return self._words

    def said(self, node: int) -> tuple[tuple[str, float], ...]:
        """The words that are said whole at a node, those that sound alike, with the nats of this way to say them."""
        return self._spelt.get(node, ())

    def raised(self, best: Sequence[float], worth: Mapping[str, float]) -> list[float]:
        """The same as `best_below` with some words that are worth more; one that is worth less counts as before."""
        found = list(best)
        for end, ways in self._spelt.items():
            for word, nats in ways:
                node = end if word in worth else 0
                while node:
                    found[node] = max(found[node], worth[word] + nats)
                    node = self._above[node]
        return found

    def best_below(self, worth: Callable[[str], float]) -> list[float]:
        """The most that a word which begins so is worth, of each node: its nats and those of the way to say it.

        A node comes after the one above it, so one walk from the last to the first is enough. The root: 0.
        """
        each = {word: worth(word) for word in self.words}
        best = [NEVER] * len(self._above)
        for node, ways in self._spelt.items():
            best[node] = max(each[word] + nats for word, nats in ways)
        for node in range(len(best) - 1, 0, -1):
            if best[node] > best[self._above[node]]:
                best[self._above[node]] = best[node]
        best[0] = 0.0
        return best
