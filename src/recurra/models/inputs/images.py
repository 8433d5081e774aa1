"""Pictures as they come: all pixels of one are one step, for an encoder that knows their shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.models.contract import Sizes


class Images(nn.Module):
    """Pixels of a picture, from -1 to 1, as one step.

    inputs["pixels"] (N, height, width, channels), bytes, as x (1, N, height width channels).
    sizes: "height", "width", "channels"
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.output_size = sizes["height"] * sizes["width"] * sizes["channels"]

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pixels = batch.inputs["pixels"]
        lengths = torch.ones(len(pixels), dtype=torch.int64, device=pixels.device)
        return scaled(pixels).flatten(1).unsqueeze(0), lengths


def scaled(pixels: Tensor) -> Tensor:
    """Bytes as numbers from -1, black, to 1."""
    return pixels.float() / 127.5 - 1.0
