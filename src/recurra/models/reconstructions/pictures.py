"""Convolutions from a code to a picture: the encoder's layers in the opposite order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.words import counted
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.models.encoders.dense import ACTIVATIONS, Activation
from recurra.models.encoders.pictures import Pictures, numbers_in
from recurra.nn import SteadyConvolution, SteadyLinear, SteadyTransposed

Upsampling = Literal["transposed", "nearest"]


class PictureReconstruction(nn.Module):
    """A linear layer to the encoder's last layer, and from there its layers back, each `stride` larger.

    transposed: each number adds a kernel's worth of pixels (Zeiler et al. 2010), so neighbours overlap unevenly where
    the stride does not divide the kernel; nearest: pixels are repeated, and a convolution follows (Odena, Dumoulin &
    Olah 2016, doi:10.23915/distill.00003), which costs more.
    Raises ConfigError for an encoder that reads no pictures, and for another number of layers than it has.
    """

    def __init__(
        self,
        code_size: int,
        encoder: Any,
        known: Sizes,
        *,
        channels: Annotated[
            tuple[int, ...] | None,
            Opt("of each layer, from the code; null: those of the encoder, from its top", ge=1, le=o.WIDEST),
        ] = None,
        upsampling: Annotated[Upsampling, Opt("how a layer becomes larger")] = "transposed",
        activation: Annotated[Activation, Opt("function of each layer's units")] = "relu",
        layer_norm: Annotated[bool, Opt("a place's channels are normalized before the activation")] = False,
    ) -> None:
        super().__init__()
        found = _checked(encoder, known, channels, upsampling)
        self.upsampling, self.activation = upsampling, activation
        self.sizes = tuple(reversed(encoder.sizes))
        (height, width), last = self.sizes[0], encoder.shape[2] * known["parameters"]
        self.first = (height, width, found[0])
        self.project = SteadyLinear(code_size, height * width * found[0])
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in found)
        widths = (*found, last)
        self.convolutions = nn.ModuleList(self._layers(widths, encoder.kernel_size, encoder.stride))

    def _layers(self, widths: Sequence[int], kernel: int, stride: int) -> Iterator[nn.Module]:
        pad = (kernel - 1) // 2
        for a, b, small, large in zip(widths, widths[1:], self.sizes, self.sizes[1:], strict=False):
            if self.upsampling == "nearest":
                yield SteadyConvolution(a, b, kernel, padding=pad)
                continue
            # The encoder's division leaves these over.
            more = tuple(wide - ((few - 1) * stride - 2 * pad + kernel) for few, wide in zip(small, large, strict=True))
            yield SteadyTransposed(a, b, kernel, stride, padding=pad, output_padding=(more[0], more[1]))

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        x: Tensor = self.project(codes).view(-1, *self.first)
        for convolution, norm, size in zip(self.convolutions, self.norms, self.sizes[1:], strict=True):
            x = ACTIVATIONS[self.activation](norm(x))
            x = convolution(repeated(x, size) if self.upsampling == "nearest" else x)
        return x.flatten(1).unsqueeze(0)


def repeated(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(M, H', W', C) of (M, H, W, C): each pixel several times, where it is nearest."""
    height, width = (
        torch.arange(large, device=x.device) * x.shape[axis] // large for axis, large in enumerate(size, 1)
    )
    return x.index_select(1, height).index_select(2, width)


def _checked(encoder: Any, known: Sizes, channels: Sequence[int] | None, upsampling: str) -> tuple[int, ...]:
    """Channels of each layer, from the code. Raises ConfigError."""
    if not isinstance(encoder, Pictures):
        raise ConfigError("name: pictures mirrors encoder pictures, and the encoder is another; take dense.")
    problems, number = [], numbers_in(encoder.shape)
    found = tuple(reversed(encoder.channels)) if channels is None else tuple(channels)
    if known["steps"] > 1:
        problems.append("name: pictures writes rows that are one vector; set task.flatten: true.")
    elif known["values"] != number:
        problems.append(f"name: pictures writes {number:,} numbers, and a row has {known['values']:,}.")
    if len(found) != len(encoder.channels):
        problems.append(
            f"channels: has {counted(len(found), 'layer')}, and the encoder {len(encoder.channels)}; expected as many."
        )
    if upsampling == "nearest" and encoder.kernel_size % 2 == 0:
        problems.append(f"upsampling: nearest needs an odd model.encoder.kernel_size, not {encoder.kernel_size}.")
    if problems:
        raise ConfigError(problems)
    return found
