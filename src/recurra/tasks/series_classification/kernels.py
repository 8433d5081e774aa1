"""The kernels of a model of series, from the training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from recurra.models.wide import Kernels
from recurra.models.wide.kernels import MOST_ADDED, SIZE, TRIPLES, responses
from recurra.tasks.series_task import AnyExample
from recurra.training import ridge

if TYPE_CHECKING:
    from recurra.tasks.series_classification.task import SeriesClassification

# Rows that the classifier is solved for at most: it looks at all pairs of them.
MOST_SOLVED = 4_000
# Rows whose numbers are padded together.
CHUNK = 64
# Distances between the steps of a kernel at most (Dempster et al. 2021, section 3.1.3).
MOST_DISTANCES = 32


def solve_kernels(kernels: Kernels, task: SeriesClassification, examples: Sequence[AnyExample]) -> int:
    """Put thresholds and weights of these rows into `kernels`, in place; how many rows they were."""
    taken = range(0, len(examples), -(-len(examples) // MOST_SOLVED))
    random = np.random.default_rng(0)
    _draw(kernels, task, [examples[i] for i in taken], random)
    shares, labels = [], []
    for first in range(0, len(taken), CHUNK):
        indices = taken[first : first + CHUNK]
        batch = task.collate([examples[i] for i in indices], indices)
        shares.append(kernels.shares(batch.inputs["features"], batch.lengths).numpy())
        labels.append(batch.targets["labels"].numpy())
    x, gold = np.concatenate(shares), np.concatenate(labels)
    weights = np.ones(len(task.labels), np.float32) if task.weights is None else task.weights.cpu().numpy()
    found = ridge(x, np.where(gold[:, None] == np.arange(len(task.labels)), 1.0, -1.0), weights[gold])
    kernels.weight.copy_(torch.from_numpy(found.weight))
    kernels.bias.copy_(torch.from_numpy(found.bias))
    return len(taken)


def _draw(
    kernels: Kernels, task: SeriesClassification, examples: Sequence[AnyExample], random: np.random.Generator
) -> None:
    """Distances, which numbers of a step a kernel reads, and thresholds: quantiles of its sums in a training series."""
    S, width = len(kernels.distances), task.reader.width
    steps = float(np.median([e.length for e in examples]))
    far = math.log2(max((steps - 1) / (SIZE - 1), 1.0))
    distances = np.floor(2.0 ** (far * (np.arange(S) * MOST_DISTANCES // S) / (MOST_DISTANCES - 1))).astype(np.int64)
    kernels.distances.copy_(torch.from_numpy(distances))
    # Low-discrepancy quantiles: multiples of the golden ratio.
    quantiles = (np.arange(1, S * len(TRIPLES) + 1).reshape(S, -1) * ((math.sqrt(5) + 1) / 2)) % 1
    for distance, places in kernels.by_distance():
        kernels.channels[places] = torch.from_numpy(_channels(width, kernels.channels.shape[2], random))
        seen = random.choice(len(examples), min(len(examples), len(TRIPLES)), replace=False)
        batch = task.collate([examples[i] for i in seen], seen.tolist())
        y = responses(batch.inputs["features"], batch.lengths, distance, kernels.channels[places[0]]).numpy()
        for k in range(len(TRIPLES)):
            row = k % len(seen)
            own = y[: int(batch.lengths[row]), row, k]
            found = np.quantile(own if len(own) else np.zeros(1), quantiles[places, k])
            kernels.thresholds[places, k] = torch.from_numpy(found.astype(np.float32))


def _channels(width: int, most: int, random: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(84, most): the numbers of a step that each kernel adds up, few more often than many; `width` for none."""
    found = np.full((len(TRIPLES), most), width, np.int64)
    limit = math.log2(min(width, MOST_ADDED) + 1)
    for row in found:
        number = int(2 ** random.uniform(0, limit))
        row[:number] = random.choice(width, number, replace=False)
    return found
