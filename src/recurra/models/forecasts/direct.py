"""All steps of a forecast at once."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import SteadyLinear


class DirectForecast(nn.Module):
    """All steps at once: the past makes a few numbers for each step, which a small network joins with what is known of
    that step (the two decoders of MQ-RNN: Wen et al. 2017, arXiv:1711.11053, section 3).
    """

    recursive = False

    def __init__(
        self,
        input_size: int,
        future_size: int,
        sizes: Sizes,
        *,
        step_size: Annotated[int, Opt("numbers of the past for each step", ge=1, le=o.WIDEST)] = 16,
        hidden_size: Annotated[int, Opt("units of the network of a step", ge=1, le=o.WIDEST)] = 64,
        output_dropout: o.OutputDropout = 0.0,
    ) -> None:
        super().__init__()
        self.horizon, self.step_size = sizes["horizon"], step_size
        self.past = SteadyLinear(input_size, self.horizon * step_size)
        self.hidden = SteadyLinear(step_size + future_size, hidden_size)
        self.output = SteadyLinear(hidden_size, sizes["targets"] * sizes["numbers"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, summary: Tensor, future: Tensor) -> Tensor:
        past = self.past(self.dropout(summary)).view(len(summary), self.horizon, self.step_size).transpose(0, 1)
        hidden = self.hidden(torch.cat([torch.relu(past), future], 2)).relu_()  # a copy takes as long as a product
        found: Tensor = self.output(self.dropout(hidden))
        return found
