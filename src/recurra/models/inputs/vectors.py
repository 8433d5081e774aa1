"""Numbers as they come: features of a step, notes that sound."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.option import Opt
from recurra.engine import without_padding
from recurra.models.contract import Sizes


class Vectors(nn.Module):
    """Feature vectors, one a step, as they come: measurements, or notes that sound.

    inputs["features"] (T, N, F), zero where padded. sizes: "features".
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        input_dropout: Annotated[float, Opt("share of a step's numbers that training does not see", ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        self.output_size = sizes["features"]
        self.dropout = nn.Dropout(input_dropout)

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = batch.inputs["features"]
        lengths = batch.lengths.to(features.device)
        x = without_padding(features, lengths)
        return self.dropout(x) if self.dropout.training else x, lengths
