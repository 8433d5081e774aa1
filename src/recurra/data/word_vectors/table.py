"""Words with their vectors, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError, DataError, did_you_mean

Array = NDArray[np.float32]
Rule = Literal["add", "multiply"]
RULES: Final[tuple[Rule, ...]] = ("add", "multiply")
# Keeps a quotient finite where a word points away from another (Levy and Goldberg 2014).
SMALL = 1e-3


class Neighbour(NamedTuple):
    """A word, and how near it is: the cosine of the angle between the two vectors, -1 to 1, or a rule's score."""

    word: str
    score: float


class WordVectors:
    """A vector for each word.

    words:  V different words, the most frequent first where the file says so
    matrix: (V, d) float32, finite
    make:   a vector (d,) for a word that is not among them, or None
    """

    def __init__(
        self, words: Sequence[str], matrix: Array, make: Callable[[str], Array | None] | None = None, source: str = ""
    ) -> None:
        if len(words) != len(matrix):
            raise ValueError(f"{len(words):,} words with {len(matrix):,} vectors")
        self.words, self.matrix, self.source = tuple(words), matrix, source
        self.index: Mapping[str, int] = {word: k for k, word in enumerate(self.words)}
        self.make, self._unit = make, None if len(self.words) else np.zeros_like(matrix)

    @property
    def size(self) -> int:
        """d, numbers of a vector."""
        return int(self.matrix.shape[1])

    @property
    def makes_unseen(self) -> bool:
        """Whether words that are not among them may have a vector all the same."""
        return self.make is not None

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def __getitem__(self, word: str) -> Array:
        """The vector (d,) of a word. Raises DataError for one without."""
        if (at := self.index.get(word)) is not None:
            row: Array = self.matrix[at]
            return row
        made = self.make(word) if self.make is not None else None
        if made is None:
            near = did_you_mean(word, self.words[:20_000]) if len(word) < 60 else ""
            raise DataError(f"{self.source or 'vectors'}: no vector for '{word}' among {len(self):,} words.{near}")
        return made

    def similar(self, *words: str, top: int = 10, among: int | None = None) -> list[Neighbour]:
        """The words whose vectors point most nearly where those of `words` do on average, without themselves.

        top: how many; among: of the first so many words alone. Equally near ones come in the order of the words.
        Raises DataError for a word without a vector, ConfigError for a number below 1.
        """
        unit = np.mean([_unit(self[word]) for word in words], axis=0)
        return self._best(self._units(among) @ _unit(unit), set(words), top, among)

    def analogy(
        self, a: str, b: str, c: str, *, top: int = 10, among: int | None = None, rule: Rule = "add"
    ) -> list[Neighbour]:
        """The words that are to `c` what `b` is to `a`: Berlin to Germany what Paris is to France.

        rule: `add` takes the nearest to b - a + c, of unit length each (3CosAdd, Mikolov et al. 2013); `multiply` takes
        the largest cos(x, b) cos(x, c) / (cos(x, a) + 0.001), cosines moved to 0..1 (3CosMul, Levy and Goldberg 2014).
        The three words themselves are never the answer. Raises as `similar` does.
        """
        units = self._units(among)
        if rule == "add":
            scores = units @ _unit(_unit(self[b]) - _unit(self[a]) + _unit(self[c]))
        elif rule == "multiply":
            to_a, to_b, to_c = ((1 + units @ _unit(self[word])) / 2 for word in (a, b, c))
            scores = to_b * to_c / (to_a + SMALL)
        else:
            raise ConfigError(f"rule: unknown rule '{rule}'; expected one of {', '.join(RULES)}.")
        return self._best(scores, {a, b, c}, top, among)

    def similarity(self, a: str, b: str) -> float:
        """The cosine of the angle between two words' vectors; 0 where one of them is zero."""
        return float(_unit(self[a]) @ _unit(self[b]))

    @property
    def units(self) -> Array:
        """(V, d) of length 1, zero where the vector is; made at the first question."""
        if self._unit is None:
            self._unit = _unit(self.matrix)
        return self._unit

    def _units(self, among: int | None) -> Array:
        """The units of the first so many words."""
        if among is not None and among < 1:
            raise ConfigError(f"among: expected a number of words from 1, got {among}.")
        return self.units[:among]

    def _best(self, scores: Array, without: set[str], top: int, among: int | None) -> list[Neighbour]:
        if top < 1:
            raise ConfigError(f"top: expected a number of words from 1, got {top}.")
        for word in without:
            at = self.index.get(word)
            if at is not None and at < len(scores):
                scores[at] = -np.inf
        wanted = min(top + len(without), len(scores))
        likely = np.argpartition(-scores, wanted - 1)[:wanted] if wanted else np.zeros(0, np.int64)
        # All that are as near as the last of them, so that the choice among equals is not the partition's.
        least = scores[likely].min(initial=np.inf)
        chosen = np.flatnonzero(scores >= least)
        order = chosen[np.lexsort((chosen, -scores[chosen]))]
        return [Neighbour(self.words[k], float(scores[k])) for k in order[:top] if scores[k] > -np.inf]


def _unit(vectors: Array) -> Array:
    """Of length 1 along the last axis, zeros where they are zero. Scaled first: squares of small numbers vanish."""
    largest = np.abs(vectors).max(-1, keepdims=True, initial=0)
    scaled = vectors / np.where(largest > 0, largest, 1)
    length = np.sqrt((scaled * scaled).sum(-1, keepdims=True))
    return (scaled / np.where(length > 0, length, 1)).astype(np.float32)
