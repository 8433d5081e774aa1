"""The trees of a model of series, from the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from recurra.models.wide import Forest
from recurra.models.wide.forest import statistics
from recurra.tasks.series_task import AnyExample
from recurra.training import grown

if TYPE_CHECKING:
    from recurra.tasks.series_classification.task import SeriesClassification

# Rows that trees are grown from at most: each level of each tree looks at all of them.
MOST_GROWN = 20_000
# Rows whose numbers are padded together.
CHUNK = 64


def grow_forest(forest: Forest, task: SeriesClassification, examples: Sequence[AnyExample]) -> int:
    """Put trees of these rows into `forest`, in place; how many rows they were: of very many some, evenly apart."""
    taken = range(0, len(examples), -(-len(examples) // MOST_GROWN))
    x, labels = [], []
    for first in range(0, len(taken), CHUNK):
        indices = taken[first : first + CHUNK]
        batch = task.collate([examples[i] for i in indices], indices)
        x.append(statistics(batch.inputs["features"], batch.lengths).numpy())
        labels.append(batch.targets["labels"].numpy())
    weights = np.ones(len(task.labels), np.float32) if task.weights is None else task.weights.cpu().numpy()
    found = grown(np.concatenate(x), np.concatenate(labels), weights, trees=forest.trees, depth=forest.depth)
    for name in ("columns", "thresholds", "leaves"):
        getattr(forest, name).copy_(torch.from_numpy(getattr(found, name)))
    return len(taken)
