"""The replies that can be chosen: different ones of training, with where each is from, and their vectors by a model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.errors import RunError
from recurra.data.draws import key_of
from recurra.metrics.tfidf import NearestTexts
from recurra.tasks.dialogue.reading import replies_of
from recurra.tasks.dialogue.turns import Conversation

SEED = 22
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply that can be chosen. source: as its row says, or where it stands"""

    text: str
    source: str


class Replies:
    """All of them; vectors are made when they are first asked for, and anew for other weights."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self.kept = tuple(kept)
        self._weights: tuple[Any, ...] = ()
        self._vectors = np.zeros((0, 0))

    def __len__(self) -> int:
        return len(self.kept)

    @cached_property
    def words(self) -> NearestTexts:
        """Their words, weighed by how few of them have each."""
        return NearestTexts([one.text for one in self.kept])

    def vectors(self, model: torch.nn.Module, made: Callable[[Sequence[str]], Vectors]) -> NDArray[np.float64]:
        """(K, D), by the model as it is now. made: vectors of texts

        Wide, as scores are their products: narrow ones would be copied for each batch.
        """
        # Weights change in place, and torch counts how often; those of a mean are other memory for a while.
        weights = tuple((id(p), p.data_ptr(), p._version) for p in model.parameters())
        if weights != self._weights:
            self._vectors, self._weights = made([one.text for one in self.kept]).astype(np.float64), weights
        return self._vectors

    def to_json(self) -> list[list[str]]:
        """All of them, as JSON."""
        return [[one.text, one.source] for one in self.kept]

    @classmethod
    def from_json(cls, data: Any, origin: str) -> Replies:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        good = isinstance(data, list) and all(
            isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one) for one in data
        )
        if not (good and data):
            raise RunError(f"{origin}: expected replies, each with its source.")
        return cls([Kept(text, source) for text, source in data])

    @classmethod
    def of(cls, rows: Collection[Conversation], speaker: str | None, most: int) -> tuple[Replies, int]:
        """Different replies of training, so many at most, drawn by what they say; and how many there are."""
        found: dict[str, str] = {}
        for row in rows:
            for text in replies_of(row, speaker):
                found.setdefault(text, row.source or str(row.origin))
        order = sorted(found, key=lambda text: (key_of(SEED, 0, text.encode("utf-8", "surrogatepass")), text))
        return cls([Kept(text, found[text]) for text in order[:most]]), len(found)


def checked(data: Mapping[str, Any], origin: str) -> Replies:
    """The replies of a run folder. Raises RunError that names `origin`."""
    return Replies.from_json(data.get("replies"), origin)
