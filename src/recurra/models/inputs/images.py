"""Pictures as they come: all pixels of one are one step, for an encoder that knows their shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models.contract import Sizes


class Images(nn.Module):
    """Pixels of a picture, from -1 to 1, as one step.

    inputs["pixels"] (N, height, width, channels), bytes, as x (1, N, height width channels).
    sizes: "height", "width", "channels"
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.shape = (sizes["height"], sizes["width"], sizes["channels"])
        self.output_size = sizes["height"] * sizes["width"] * sizes["channels"]

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pixels = batch.inputs["pixels"]
        lengths = torch.ones(len(pixels), dtype=torch.int64, device=pixels.device)
        return scaled(pixels).flatten(1).unsqueeze(0), lengths


def refuse_other_shape(inputs: object, encoder: object) -> None:
    """Raise ConfigError for an encoder that takes pixels for a picture of another shape, as 32 x 128 for 64 x 64."""
    shape = getattr(encoder, "shape", None)
    if isinstance(inputs, Images) and shape is not None and tuple(shape) != inputs.shape:
        raise ConfigError(
            f"shape: pictures are {' x '.join(map(str, inputs.shape))}, and the encoder would read them as "
            f"{' x '.join(map(str, shape))}; set shape: {list(inputs.shape)}."
        )


def scaled(pixels: Tensor) -> Tensor:
    """Bytes, or numbers from 0 to 255, as numbers from -1, black, to 1."""
    return (pixels if pixels.is_floating_point() else pixels.float()) / 127.5 - 1.0
