"""How often a series is above a threshold when seen through many small kernels, beside what the encoder says of it."""

from __future__ import annotations

from itertools import combinations, groupby
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.engine.linear import steady_linear
from recurra.models.contract import Sizes

# Steps that a kernel reads; three of them weigh 2, the others -1, so that they sum to 0: 84 kernels (section 3.1.1).
SIZE = 9
TRIPLES = tuple(combinations(range(SIZE), 3))
WEIGHTS = np.array([[2.0 if j in triple else -1.0 for j in range(SIZE)] for triple in TRIPLES], np.float32)
# Numbers of a step that a kernel adds up at most (appendix B, as the authors' program has it).
MOST_ADDED = 9
# Numbers of all kernels at all steps that are held at once.
HELD = 1 << 25


class Kernels(nn.Module):
    """MiniRocket: the share of steps at which a kernel's sum is above a threshold, for 84 kernels, many distances
    between their nine steps and many thresholds, and a ridge classifier on these shares.

    logits = a (W^T z + b) + c (the head's logits), z the shares. In training the head's alone: thresholds are taken
    from training series and W is solved before the first step, and a and c are fitted to dev after the last one; where
    `share` is given, it is that of the kernels' scores, each part at the temperature that fits dev. Around a series are
    zeros, and every real step counts (the authors leave the ends out for every second kernel).
    inputs["features"] (T, N, C). sizes: "features"; "labels", of which a series has one.
    Source: Dempster, Schmidt & Webb 2021, arXiv:2012.08791.
    Raises ConfigError where a series has any number of labels.
    """

    noun = "kernels"

    def __init__(
        self,
        sizes: Sizes,
        *,
        thresholds: Annotated[
            int, Opt("thresholds of each of the 84 kernels, over all distances of their steps", ge=1, le=1000)
        ] = 119,
        share: Annotated[
            float | None,
            Opt(
                "part of the kernels in the sum with the network; null: fitted to dev, if its rows are like new ones",
                ge=0,
                le=1,
            ),
        ] = None,
    ) -> None:
        super().__init__()
        if sizes.get("many", 0):
            raise ConfigError("kernels: say one label of each series; set task.labels: one, or model.wide: none.")
        self.given_share = share
        number, labels, added = len(TRIPLES), sizes["labels"], min(sizes["features"], MOST_ADDED)
        # Buffers: they are saved with the weights, and no optimizer moves them.
        self.distances: Tensor
        self.register_buffer("distances", torch.ones(thresholds, dtype=torch.int64))
        self.channels: Tensor  # a number that is none: zero
        self.register_buffer("channels", torch.zeros(thresholds, number, added, dtype=torch.int64))
        self.thresholds: Tensor
        self.register_buffer("thresholds", torch.zeros(thresholds, number, dtype=torch.float32))
        self.weight: Tensor
        self.register_buffer("weight", torch.zeros(thresholds * number, labels, dtype=torch.float32))
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(labels, dtype=torch.float32))
        self.share: Tensor
        self.register_buffer("share", torch.full((2,), 0.5, dtype=torch.float32))

    def forward(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.training:
            return outputs
        ours, theirs = self.share
        return outputs | {"logits": ours * self.logits(batch) + theirs * outputs["logits"]}

    def logits(self, batch: Batch) -> Tensor:
        """(N, labels): what the shares alone say."""
        features = batch.inputs["features"]
        z = self.shares(features, batch.lengths.to(features.device))
        # Added up from left to right for each row, so that a row has the same bits in any batch.
        every = torch.arange(z.shape[1], device=z.device).expand(len(z), -1).contiguous()
        return F.embedding_bag(every, self.weight, mode="sum", per_sample_weights=z) + self.bias

    def shares(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(N, thresholds * 84) of series (T, N, C): the share of steps above each threshold; 0 without steps."""
        T, N, _ = features.shape
        some = max(1, HELD // max(T * len(TRIPLES), 1))
        parts = [self._shares(features[:, n : n + some], lengths[n : n + some]) for n in range(0, N, some)]
        return torch.cat(parts) if parts else features.new_zeros(0, self.weight.shape[0])

    def _shares(self, features: Tensor, lengths: Tensor) -> Tensor:
        count = lengths.clamp(min=1).view(-1, 1, 1)
        found = []
        for distance, places in self.by_distance():
            y = responses(features, lengths, distance, self.channels[places[0]])
            above = y.unsqueeze(2) > self.thresholds[places]
            # Bytes are added up in half the time of truth values.
            found.append(above.view(torch.uint8).sum(0, dtype=torch.int32).to(features.dtype) / count)
        return torch.cat(found, 1).flatten(1)

    def by_distance(self) -> list[tuple[int, list[int]]]:
        """Each distance, with the places of its thresholds, which stand together and share their channels."""
        distances = self.distances.tolist()
        return [(d, list(places)) for d, places in groupby(range(len(distances)), key=distances.__getitem__)]

    def cannot_stream(self) -> list[str]:
        return ["name: kernels read a whole series; set model.wide: none."]


def responses(features: Tensor, lengths: Tensor, distance: int, channels: Tensor) -> Tensor:
    """(T, N, 84): the sum of each kernel around each step, its steps `distance` apart; -inf behind a series' end.

    features: (T, N, C)      channels: (84, A) which numbers a kernel adds up; C for none
    """
    T, _, C = features.shape
    real = sequence_mask(lengths, T).unsqueeze(2)
    ends = SIZE // 2 * distance
    x = F.pad(torch.where(real, features, 0.0), (0, 0, 0, 0, ends, ends))
    around = torch.cat([x[j * distance : j * distance + T] for j in range(SIZE)], 2)
    ones = x.new_ones(channels.shape)
    added = torch.zeros(len(TRIPLES), C + 1, dtype=x.dtype, device=x.device).scatter_add_(1, channels, ones)[:, :C]
    weights = (torch.from_numpy(WEIGHTS).to(x).unsqueeze(2) * added.unsqueeze(1)).flatten(1)
    return torch.where(real, steady_linear(around, weights, None), -torch.inf)
