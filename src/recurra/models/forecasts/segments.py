"""A recurrent layer over pieces of a forecast, one step each."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import Recurrent, SteadyLinear


class SegmentsForecast(nn.Module):
    """Pieces of `segment` steps, all at once: each is one step of a recurrent layer from the state that the past made,
    which reads which piece it is and what is known of it (SegRNN: Lin et al. 2023, arXiv:2308.11200, section 3.3).
    """

    recursive = False

    def __init__(
        self,
        input_size: int,
        future_size: int,
        sizes: Sizes,
        *,
        cell: o.CellName = "gru",
        segment: Annotated[int, Opt("steps of a piece", ge=1, le=4096)] = 24,
        output_dropout: o.OutputDropout = 0.0,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        self.horizon, self.segment = sizes["horizon"], segment
        self.number = -(-self.horizon // segment)
        self.pieces = nn.Parameter(torch.randn(self.number, input_size, dtype=torch.float32) * 0.1)
        self.recurrent = Recurrent(input_size + future_size * segment, input_size, cell=cell, backend=backend)
        self.output = SteadyLinear(self.recurrent.output_size, segment * sizes["targets"] * sizes["numbers"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, summary: Tensor, future: Tensor) -> Tensor:
        N, count = len(summary), self.number
        future = pad(future, (0, 0, 0, 0, 0, count * self.segment - self.horizon))
        known = future.view(count, self.segment, N, -1).transpose(1, 2).reshape(1, count * N, -1)
        pieces = self.pieces.unsqueeze(1).expand(-1, N, -1).reshape(1, count * N, -1)
        widths = self.recurrent.state_sizes()
        h = summary.unsqueeze(0).expand(count, -1, -1).reshape(1, count * N, -1)
        states = (h, *(h.new_zeros(1, count * N, width) for width in widths[1:]))
        outputs, _ = self.recurrent(torch.cat([pieces, known], 2), states if len(states) > 1 else states[0])
        numbers = self.output(self.dropout(outputs[0])).view(count, N, self.segment, -1)
        found: Tensor = numbers.transpose(1, 2).reshape(count * self.segment, N, -1)[: self.horizon]
        return found
