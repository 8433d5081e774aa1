"""What a report shows of a model that is vectors of words: a map of frequent words."""

from __future__ import annotations

import numpy as np
from torch import nn

from recurra.data.word_vectors import WordVectors
from recurra.data.word_vectors.planes import pca
from recurra.report import Chart, Curve
from recurra.tasks import GivesVectors, Task

# Words of a map, among the most frequent ones that have letters.
SHOWN, LOOKED_AT = 80, 400


def word_map(task: Task, model: nn.Module) -> tuple[Chart, ...]:
    """Frequent words by the first two principal components of their vectors; nothing of other tasks."""
    return (drawn(task.vectors_of(model)),) if isinstance(task, GivesVectors) else ()


def drawn(vectors: WordVectors) -> Chart:
    """The chart: every so manieth of the most frequent words."""
    words = [word for word in vectors.words[:LOOKED_AT] if any(map(str.isalpha, word))] or list(vectors.words)
    words = words[:: max(len(words) // SHOWN, 1)][:SHOWN]
    places = pca(np.array([vectors[word] for word in words])).tolist()
    order = sorted(range(len(words)), key=places.__getitem__)
    points = tuple((places[k][0], places[k][1]) for k in order)
    curve = Curve("words", points, dots=True, labels=tuple(words[k] for k in order))
    return Chart("Map of frequent words", "first principal component", "second", (curve,))
