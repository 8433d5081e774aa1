"""Texts of words by all paths of CTC and all ways to cut units into pronunciations, in float64; nothing is pruned."""

from __future__ import annotations

from itertools import product

import numpy as np


def by_paths(logits):
    """p of each sequence of units: the sum over all paths of one unit a frame that say it (Graves 2006, eq. 3)."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    found = {}
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        said = tuple(u for k, u in enumerate(path) if u and (k == 0 or path[k - 1] != u))
        found[said] = found.get(said, 0.0) + float(np.prod(p[np.arange(len(path)), list(path)]))
    return found


def cuts(units, lexicon):
    """All sequences of (word, p of its way) that say these units. lexicon: {word: [(units, p), ...]}"""
    if not units:
        yield ()
    for word, ways in lexicon.items():
        for way, p in ways:
            if units[: len(way)] == tuple(way):
                for rest in cuts(units[len(way) :], lexicon):
                    yield ((word, p), *rest)


def texts(logits, lexicon, worth):
    """p of each text of words, times worth(words): the sum over units, paths and pronunciations."""
    found = {}
    for units, p in by_paths(logits).items():
        for cut in cuts(units, lexicon):
            words = tuple(word for word, _ in cut)
            way = np.prod([q for _, q in cut])
            found[words] = found.get(words, 0.0) + p * way * worth(words)
    return found
