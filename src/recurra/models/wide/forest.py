"""Trees on statistics of a whole series, beside what the encoder and the head say of it."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models.contract import Sizes

# Statistics of each number of a step, beside the number of steps.
STATISTICS = 12


class Forest(nn.Module):
    """Extremely randomised trees on the mean, deviation, least, largest, first and last value of each number of a
    series, its mean and largest change from step to step, its mean in each quarter, and the number of steps.

    logits = a log p + c (the head's logits), p the trees' mean of the labels' shares in their leaves, with one vote
    more for each label. In training the head's alone: the trees are grown before the first step, and a and c are
    fitted to dev after the last one. inputs["features"] (T, N, F). sizes: "features"; "labels", of which a series
    has one.
    Source: Geurts, Ernst & Wehenkel 2006, doi 10.1007/s10994-006-6226-1.
    Raises ConfigError where a series has any number of labels.
    """

    noun = "statistics"

    def __init__(
        self,
        sizes: Sizes,
        *,
        trees: Annotated[int, Opt("trees whose votes are counted", ge=1, le=1000)] = 100,
        max_depth: Annotated[int, Opt("comparisons on the way to a leaf; one more doubles them", ge=1, le=12)] = 10,
    ) -> None:
        super().__init__()
        if sizes.get("many", 0):
            raise ConfigError("forest: says one label of each series; set task.labels: one, or model.wide: none.")
        labels = sizes["labels"]
        self.trees, self.depth = trees, max_depth
        # Buffers: they are saved with the weights, and no optimizer moves them.
        self.columns: Tensor
        self.register_buffer("columns", torch.zeros(trees, 2**max_depth - 1, dtype=torch.int64))
        self.thresholds: Tensor
        self.register_buffer("thresholds", torch.zeros(trees, 2**max_depth - 1, dtype=torch.float32))
        self.leaves: Tensor
        self.register_buffer("leaves", torch.zeros(trees, 2**max_depth, labels, dtype=torch.float32))
        self.share: Tensor
        self.register_buffer("share", torch.full((2,), 0.5, dtype=torch.float32))

    def forward(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.training:
            return outputs
        ours, theirs = self.share
        return outputs | {"logits": ours * self.logits(batch) + theirs * outputs["logits"]}

    def logits(self, batch: Batch) -> Tensor:
        """(N, labels): what the trees alone say."""
        features = batch.inputs["features"]
        x = statistics(features, batch.lengths.to(features.device))
        tree = torch.arange(self.trees, device=x.device)
        node = torch.zeros(len(x), self.trees, dtype=torch.int64, device=x.device)
        for _ in range(self.depth):
            numbers = x.gather(1, self.columns[tree, node])
            node = 2 * node + 1 + (numbers > self.thresholds[tree, node])
        # From left to right in float64, so that a row has the same bits in any batch.
        votes = self.leaves[tree, node - (2**self.depth - 1)].double().cumsum(1)[:, -1]
        return ((votes + 1) / (self.trees + votes.shape[1])).log().to(self.leaves.dtype)

    def cannot_stream(self) -> list[str]:
        return ["name: a forest reads statistics of a whole series; set model.wide: none."]


def statistics(features: Tensor, lengths: Tensor) -> Tensor:
    """(N, 12 F + 1) of series (T, N, F): mean, deviation, least, largest, first, last, mean and largest change, mean of
    each quarter; length.

    Zeros for a series without steps. Padding changes no bit: sums go from the first step to the last.
    """
    T, N, F = features.shape
    if not T:
        return features.new_zeros(N, STATISTICS * F + 1)
    real = sequence_mask(lengths, T).unsqueeze(2)
    x = torch.where(real, features, 0.0).double()
    count, there = lengths.clamp(min=1).unsqueeze(1), (lengths > 0).unsqueeze(1)
    sums = torch.cat([x.new_zeros(1, N, F), x.cumsum(0)])
    mean = sums[-1] / count
    deviation = (torch.where(real, (x - mean) ** 2, 0.0).cumsum(0)[-1] / count).sqrt()
    least = torch.where(there, torch.where(real, x, torch.inf).amin(0), 0.0)
    largest = torch.where(there, torch.where(real, x, -torch.inf).amax(0), 0.0)
    change = torch.zeros_like(x)
    change[1:] = torch.where(real[1:], (x[1:] - x[:-1]).abs(), 0.0)
    changes = change.cumsum(0)[-1] / (count - 1).clamp(min=1)
    ends = [x[0], _rows(x, count - 1), changes, change.amax(0)]
    quarters = [_mean_between(sums, count * k // 4, count * (k + 1) // 4) for k in range(4)]
    return torch.cat([mean, deviation, least, largest, *ends, *quarters, lengths.double().unsqueeze(1)], 1).to(
        features.dtype
    )


def _mean_between(sums: Tensor, first: Tensor, end: Tensor) -> Tensor:
    """(N, F) mean of the steps from first (N, 1) up to end, of one step at least. sums: (T + 1, N, F) of all before"""
    end = torch.maximum(end, first + 1)
    return (_rows(sums, end) - _rows(sums, first)) / (end - first)


def _rows(x: Tensor, steps: Tensor) -> Tensor:
    """(N, F) of x (T, N, F) at a step (N, 1) of each row."""
    return x.gather(0, steps.expand(-1, x.shape[2]).unsqueeze(0)).squeeze(0)
