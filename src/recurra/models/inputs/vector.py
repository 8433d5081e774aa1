"""One vector, for a model that writes a sequence from it: a sequence of one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.models.contract import Sizes


class Vector(nn.Module):
    """One feature vector, as it comes, from which a whole sequence is written.

    inputs["features"] (N, F) as x (1, N, F), a sequence of one step. sizes: "features".
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.output_size = sizes["features"]

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = batch.inputs["features"]
        return features.unsqueeze(0), torch.ones(len(features), dtype=torch.int64, device=features.device)
