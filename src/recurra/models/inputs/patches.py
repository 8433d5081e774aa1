"""Pictures cut into square patches, each a step with its place: what a Transformer reads of a picture."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.models.inputs.images import scaled
from recurra.nn import SteadyLinear


class Patches(nn.Module):
    """Square patches, row by row from the top left, each under one matrix, with a vector learned for its place.

    inputs["pixels"] (N, height, width, channels), bytes, as x (P, N, E). sizes: "height", "width", "channels"
    Raises ConfigError for patches that do not fill the picture.
    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, eq. 1, without its class token.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        patch_size: Annotated[int, Opt("pixels of a patch's side; a divisor of both sides of a picture", ge=1)] = 8,
        embedding_size: o.EmbeddingSize = 128,
    ) -> None:
        super().__init__()
        height, width = sizes["height"], sizes["width"]
        if height % patch_size or width % patch_size:
            raise ConfigError(
                f"patch_size: is {patch_size}, and does not divide pictures of {height} x {width} pixels."
            )
        self.patch_size, self.output_size = patch_size, embedding_size
        self.grid = (height // patch_size, width // patch_size)
        self.project = SteadyLinear(patch_size * patch_size * sizes["channels"], embedding_size)
        # A hundredth of a normal, as a place should say little before anything is learned (section 4.1: 0.02).
        self.places = Parameter(0.02 * torch.randn(self.grid[0] * self.grid[1], embedding_size, dtype=torch.float32))

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pixels, p = batch.inputs["pixels"], self.patch_size
        (rows, columns), N = self.grid, len(pixels)
        cut = scaled(pixels).view(N, rows, p, columns, p, -1).permute(1, 3, 0, 2, 4, 5)
        x = self.project(cut.reshape(rows * columns * N, -1)).view(rows * columns, N, -1)
        lengths = torch.full((N,), rows * columns, dtype=torch.int64, device=pixels.device)
        return x + self.places.unsqueeze(1), lengths
