"""A label, for a model that writes a sequence from it: a vector for each, as a sequence of one step."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes


class Label(nn.Module):
    """A label embedding: a vector that is learned for each label, from which a whole sequence is written.

    inputs["label"] (N,) to x (1, N, embedding_size), a sequence of one step. sizes: "labels".
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        embedding_size: Annotated[
            int, Opt("embedding dimension: numbers in a label's vector", ge=1, le=o.WIDEST)
        ] = 128,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes["labels"], embedding_size)
        self.output_size = embedding_size

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        label = batch.inputs["label"]
        return self.embedding(label).unsqueeze(0), torch.ones_like(label)
