"""The wide part of a model of labels: its weights from the training rows, its share from dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from recurra.data.ngrams import Counted
from recurra.models.ngrams import NOTHING, NGramFeatures, weighted
from recurra.models.wide import Bag
from recurra.training import SparseRows, chosen_l2, solve

# Strengths of the penalty that cross-validation chooses from; 0.1 is C = 10 of the baseline.
STRENGTHS = (0.1, 0.03, 0.3)
# From so many rows on an n-gram that one row has is left out: it says nothing of another one, and half of all are so.
MANY_ROWS = 1000


def pad_ngrams(rows: Sequence[Counted]) -> dict[str, Tensor]:
    """ "ngrams" (G, N) int64 and "ngram_counts" (G, N) float32, 0 where padded; G is at least 1."""
    lengths = np.array([len(row.ids) for row in rows], np.int64)
    there = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, None]
    ids, counts = np.zeros(there.shape, np.int64), np.zeros(there.shape, np.float32)
    if rows:
        ids[there] = np.concatenate([row.ids for row in rows])
        counts[there] = np.concatenate([row.counts for row in rows])
    return {"ngrams": torch.from_numpy(ids.T.copy()), "ngram_counts": torch.from_numpy(counts.T.copy())}


def solve_bag(bag: Bag, rows: Sequence[Counted], loss: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Put idf and the weights that fit these rows into `bag`, in place; return the strength of the penalty.

    loss: of logits (N, C) of rows (N,), their sum
    """
    device = bag.weight.device
    x = _matrix(bag, rows)
    labels = len(bag.bias)
    l2 = bag.l2 or chosen_l2(x, labels=labels, strengths=STRENGTHS, loss=loss)
    weight, bias = solve(x, torch.arange(len(rows)), labels=labels, l2=l2, loss=loss)
    bag.weight.copy_(weight.to(device))
    bag.bias.copy_(bias.to(device))
    return l2


def fit_scale(part: NGramFeatures, rows: Sequence[Counted]) -> None:
    """Put what each n-gram counts into a part that reads them, in place: idf by these rows, or 1."""
    ids = torch.from_numpy(np.concatenate([row.ids for row in rows]).astype(np.int64))
    part.scale.copy_(idf(ids, len(rows), len(part.scale), part.weighting == "tfidf"))


def _matrix(bag: Bag, rows: Sequence[Counted]) -> SparseRows:
    """What the n-grams of each row count, as `Bag.features` has it; sets its `scale`."""
    fit_scale(bag, rows)
    ids = torch.from_numpy(np.concatenate([row.ids for row in rows]).astype(np.int64))
    counts = torch.from_numpy(np.concatenate([row.counts for row in rows]))
    lengths = torch.tensor([len(row.ids) for row in rows], dtype=torch.int64)
    x = weighted(counts, bag.weighting) * bag.scale.cpu()[ids]
    row = torch.repeat_interleave(torch.arange(len(rows)), lengths)
    kind = 2 * row + (ids < bag.words)
    square = torch.zeros(2 * len(rows), dtype=torch.float64).index_add_(0, kind, x.double() ** 2)
    x = (x / (square * bag.kinds).clamp(min=NOTHING).sqrt()[kind]).float()
    known = x != 0
    starts = torch.zeros(len(rows) + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(row[known], minlength=len(rows)).cumsum(0)
    return SparseRows(ids[known], x[known], starts, len(bag.scale))


def idf(ids: Tensor, rows: int, size: int, logarithm: bool) -> Tensor:
    """(size,) ln((1 + N) / (1 + rows with the n-gram)) + 1, or 1; 0 for an n-gram that too few rows have."""
    having = torch.bincount(ids, minlength=size)
    known = having >= (1 if rows < MANY_ROWS else 2)
    rare = ((1 + rows) / (1 + having).double()).log() + 1 if logarithm else torch.ones(size, dtype=torch.float64)
    return torch.where(known, rare, 0.0).float()
