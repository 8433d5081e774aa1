"""Frames of sound under strided convolutions: each halves the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import sequence_mask, without_padding
from recurra.models import options as o
from recurra.models.contract import Sizes, states_of
from recurra.nn import SteadyLinear


class Frames(nn.Module):
    """Numbers of steps under convolutions over time with a stride of 2 and ReLU, so that 2^num_layers are one.

    inputs["features"] (T, N, F) as x (T // 2^num_layers, N, hidden_size); a rest of steps is left out, as by stacking.
    Steps behind a row's end are zero for every layer. sizes: "features".
    causal: a step knows of nothing behind its own frames. A recording may come in pieces then, each of whole steps: the
    last kernel_size - 2 frames of each layer are the states "front_l0", "front_l1", ..., (N, (kernel_size - 2) C).
    In evaluation a row has the same bits alone, in any batch, and in pieces. Raises ConfigError for an even kernel that
    is not causal.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        hidden_size: Annotated[int, Opt("numbers of each convolution", ge=1, le=o.WIDEST)] = 128,
        num_layers: Annotated[int, Opt("convolutions, each of which halves the steps", ge=1, le=6)] = 2,
        kernel_size: Annotated[int, Opt("steps that a convolution sees; odd, unless causal", ge=2, le=63)] = 3,
        causal: Annotated[bool, Opt("see nothing that comes later, so that a recording may come in pieces")] = False,
        dropout: Annotated[float, Opt("dropout behind each layer", ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 and not causal:
            raise ConfigError(f"kernel_size: is {kernel_size}, expected an odd number, or causal: true.")
        self.output_size, self.kernel_size, self.causal = hidden_size, kernel_size, causal
        widths = [sizes["features"], *[hidden_size] * (num_layers - 1)]
        self.convolutions = nn.ModuleList(SteadyLinear(kernel_size * width, hidden_size) for width in widths)
        self.widths = {f"front_l{k}": (kernel_size - 2) * width for k, width in enumerate(widths)}
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def joined(cls, options: Mapping[str, Any]) -> int:
        """Steps that become one."""
        return 1 << int(options["num_layers"])

    @property
    def table(self) -> Parameter | None:
        return None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.piece(batch)[:2]

    def piece(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """x, lengths, and the states behind them."""
        x, lengths, before = batch.inputs["features"], batch.lengths, states_of(batch.inputs)
        lengths = lengths.to(x.device)
        x, after = without_padding(x, lengths), {}
        for k, convolution in enumerate(self.convolutions):
            name = f"front_l{k}"
            x = self._padded(x, before.get(name))
            if self.causal:
                after[name] = self._kept(x, lengths)
            lengths = lengths // 2
            x = self.dropout(self._convolved(convolution, x))
            x = torch.where(sequence_mask(lengths, len(x)).unsqueeze(2), x, 0.0)
        return x, lengths, after

    def _padded(self, x: Tensor, before: Tensor | None) -> Tensor:
        """With the frames that the first and the last window see beyond: those before, or zeros."""
        left = self.kernel_size - 2 if self.causal else (self.kernel_size - 1) // 2
        right = 0 if self.causal else self.kernel_size - 2 - left
        if before is None or not left:
            return F.pad(x, (0, 0, 0, 0, left, max(right, 0)))
        return torch.cat([before.view(len(before), left, -1).transpose(0, 1), x])

    def _kept(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(N, (kernel - 2) C): the last frames of each row. x: with those before"""
        left = self.kernel_size - 2
        at = lengths + torch.arange(left, device=x.device).unsqueeze(1)
        return x.gather(0, at.unsqueeze(2).expand(-1, -1, x.shape[2])).transpose(0, 1).flatten(1)

    def _convolved(self, convolution: nn.Module, x: Tensor) -> Tensor:
        """(T // 2, N, M) of T steps with those around them."""
        steps = (len(x) - self.kernel_size) // 2 + 1
        if steps < 1 or not x.shape[1]:
            return x.new_zeros(max(steps, 0), x.shape[1], self.output_size)
        windows = x.unfold(0, self.kernel_size, 2).flatten(2)
        return torch.relu(convolution(windows))

    def state_sizes(self) -> Mapping[str, int]:
        """The width of each state, by name."""
        return self.widths if self.causal else {}

    def cannot_stream(self) -> list[str]:
        if self.causal:
            return []
        return ["causal: a convolution sees frames that come later; train with causal: true to stream."]
