"""A recurrent layer over the steps of a forecast."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import Recurrent, SteadyLinear


class DecoderForecast(nn.Module):
    """Encoder and decoder: a recurrent layer goes over the steps of the forecast. It begins with what the past made,
    reads what is known of each step and which step it is, and reads no forecast of its own.
    """

    recursive = False

    def __init__(
        self,
        input_size: int,
        future_size: int,
        sizes: Sizes,
        *,
        cell: o.CellName = "gru",
        hidden_size: Annotated[int, Opt("units of the decoder", ge=1, le=o.WIDEST)] = 64,
        step_size: Annotated[int, Opt("numbers that say which step it is", ge=1, le=o.WIDEST)] = 8,
        output_dropout: o.OutputDropout = 0.0,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.randn(sizes["horizon"], step_size, dtype=torch.float32) * 0.1)
        self.recurrent = Recurrent(future_size + step_size, hidden_size, cell=cell, backend=backend)
        self.begin = SteadyLinear(input_size, sum(self.recurrent.state_sizes()))
        self.output = SteadyLinear(self.recurrent.output_size, sizes["targets"] * sizes["numbers"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, summary: Tensor, future: Tensor) -> Tensor:
        begin = torch.split(torch.tanh(self.begin(summary)), list(self.recurrent.state_sizes()), 1)
        states = tuple(state.unsqueeze(0).contiguous() for state in begin)
        steps = self.steps.unsqueeze(1).expand(-1, future.shape[1], -1)
        outputs, _ = self.recurrent(torch.cat([future, steps], 2), states if len(states) > 1 else states[0])
        found: Tensor = self.output(self.dropout(outputs))
        return found
