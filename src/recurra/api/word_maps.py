"""What a report shows of a model that is vectors of words: maps of frequent words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.planes import pca, tsne
from recurra.data.word_vectors.table import Array
from recurra.report import Chart, Curve
from recurra.tasks import GivesVectors, Task

# Words of a map, among the most frequent ones that have letters.
SHOWN, LOOKED_AT = 80, 400


def word_map(task: Task, model: nn.Module) -> tuple[Chart, ...]:
    """Frequent words by the first two principal components of their vectors, and by t-SNE; nothing of other tasks."""
    if not isinstance(task, GivesVectors):
        return ()
    words, units = _shown(task.vectors_of(model))
    return (
        _drawn("Map of frequent words", "first principal component", "second", words, pca(units)),
        _drawn("Map of frequent words, by t-SNE", "near words are near", "", words, tsne(units)),
    )


def _shown(vectors: WordVectors) -> tuple[list[str], Array]:
    """Every so manieth of the most frequent words, and their vectors of length 1."""
    words = [word for word in vectors.words[:LOOKED_AT] if any(map(str.isalpha, word))] or list(vectors.words)
    words = words[:: max(len(words) // SHOWN, 1)][:SHOWN]
    return words, vectors.units[[vectors.index[word] for word in words]]


def _drawn(title: str, across: str, up: str, words: list[str], found: NDArray[np.float64]) -> Chart:
    places = found.tolist()
    order = sorted(range(len(words)), key=places.__getitem__)
    points = tuple((places[k][0], places[k][1]) for k in order)
    curve = Curve("words", points, dots=True, labels=tuple(words[k] for k in order))
    return Chart(title, across, up, (curve,))
