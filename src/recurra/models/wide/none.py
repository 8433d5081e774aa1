"""No wide part: what the head says is the answer."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.models.contract import Sizes


class NoWide(nn.Module):
    """No wide part: what the head says is the answer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()

    def forward(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return outputs

    def cannot_stream(self) -> list[str]:
        return []
