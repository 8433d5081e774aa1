"""Convolutions over steps: what a step is said to be depends on its neighbours, with no state that is carried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import nothing_padded, sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.nn import SteadyConvolution1d

# Steps of a kernel: an odd number has a middle.
WIDEST_KERNEL = 63


class Convolutional(nn.Module):
    """Convolutions over steps, one on the other: conv, layer norm, ReLU, dropout; from the second on with a residual.

    Layer k sees kernel_size steps, of which neighbours are 2^k steps apart if `dilated`. Steps behind a sequence's end
    are zero for every layer, so that padding changes nothing. x (T, N, I) to outputs (T, N, hidden_size); the summary
    is the last real step.
    Sources: Wang, Yan & Oates 2017, arXiv:1611.06455, for series; Bai, Kolter & Koltun 2018, arXiv:1803.01271, for
    dilation and residuals. Both normalise over a batch, where a row would notice its neighbours; here over the units.
    Raises ConfigError for an even kernel.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Annotated[int, Opt("units of each layer", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("convolutions, one on the other", ge=1, le=o.DEEPEST)] = 3,
        kernel_size: Annotated[int, Opt("steps that a convolution sees; odd", ge=1, le=WIDEST_KERNEL)] = 5,
        dilated: Annotated[bool, Opt("each layer sees twice as far as the one below")] = False,
        dropout: Annotated[float, Opt("dropout behind each layer", ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: is {kernel_size}, expected an odd number, which has a step in its middle.")
        if dilated and (kernel_size == 1 or num_layers == 1):
            raise ConfigError("dilated: has no effect with one layer, or a kernel of one step; leave it out.")
        if dilated and num_layers > 16:
            raise ConfigError(f"dilated: with {num_layers} layers the last one would see 2^{num_layers} steps; use 16.")
        self.output_size = hidden_size
        widths = [input_size, *[hidden_size] * (num_layers - 1)]
        spaces = [2**k if dilated else 1 for k in range(num_layers)]
        self.convolutions = nn.ModuleList(
            SteadyConvolution1d(width, hidden_size, kernel_size, padding=space * (kernel_size // 2), dilation=space)
            for width, space in zip(widths, spaces, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        real = sequence_mask(lengths, len(x)).unsqueeze(2)
        x = torch.where(real, x, 0.0)
        for k, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            y = self._convolved(convolution, x)
            y = self.dropout(torch.relu(norm(y)))
            x = torch.where(real, y + x if k else y, 0.0)
        return Encoded(x, lengths, last_real(x, lengths), {})

    def _convolved(self, convolution: nn.Module, x: Tensor) -> Tensor:
        """(T, N, C) to (T, N, M); of no step there is nothing to convolve."""
        if not x.numel():
            return x.new_zeros(*x.shape[:2], self.output_size)
        y: Tensor = convolution(x)
        return y

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            parts = (("convolution", convolution), ("norm", norm))
            found.append({f"{part}.{name}": p for part, module in parts for name, p in module.named_parameters()})
        return found

    def cannot_stream(self) -> list[str]:
        return ["convolutional sees steps on both sides and keeps no state; recurrent, in one direction, does."]


def last_real(x: Tensor, lengths: Tensor) -> Tensor:
    """(N, M): the last real step of x (T, N, M); zeros for a row without any."""
    if not len(x):
        return x.new_zeros(x.shape[1:])
    if nothing_padded(lengths, len(x)):
        return x[-1]
    place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, x.shape[2])
    return torch.where((lengths > 0).unsqueeze(1), x.gather(0, place).squeeze(0), 0.0)
