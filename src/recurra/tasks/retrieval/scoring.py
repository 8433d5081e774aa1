"""Ranks of pictures and captions among all of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.metrics.captions import caption_words
from recurra.metrics.retrieval import Bools, ranks
from recurra.tasks.captioning.rows import CaptionExample

Vectors = NDArray[np.float32]
# Queries that are compared with all answers at once: 0.2 GB of likenesses for 25,000 captions.
ROWS = 2000


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures and captions of some examples, by number; equal ones have the same.

    pictures: (N,)      captions: (K,)      owners: (K,) the place of each caption's example
    """

    pictures: NDArray[np.int64]
    captions: NDArray[np.int64]
    owners: NDArray[np.int64]

    @classmethod
    def of(cls, examples: Sequence[CaptionExample]) -> Gallery:
        texts = [(n, caption_words(one)) for n, e in enumerate(examples) for one in e.captions or ()]
        return cls(
            numbered([e.shown.digest for e in examples]),
            numbered([words for _, words in texts]),
            np.array([n for n, _ in texts], np.int64),
        )

    def right(self, captions: slice) -> Bools:
        """(some captions, N): which pictures each caption is right for: its own, equal ones, those with its words."""
        said = np.zeros((int(self.captions.max()) + 1, int(self.pictures.max()) + 1), bool)
        said[self.captions, self.pictures[self.owners]] = True
        found: Bools = said[self.captions[captions]][:, self.pictures]
        return found


def numbered(values: Sequence[object]) -> NDArray[np.int64]:
    """The same number for equal values, from 0 in the order in which they come."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], np.int64)


def both_ranks(images: Vectors, texts: Vectors, gallery: Gallery) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(K,) ranks of pictures by each caption, and (N,) of captions by each picture. images: (N, D), texts: (K, D)"""
    by_text, likeness, right = [], [], []
    for first in range(0, len(texts), ROWS):
        some = slice(first, first + ROWS)
        alike, fits = texts[some] @ images.T, gallery.right(some)
        by_text.append(ranks(alike, fits))
        likeness.append(alike)
        right.append(fits)
    back = np.concatenate(likeness).T, np.concatenate(right).T
    return np.concatenate(by_text), ranks(*back)
