"""A recurrent layer over pieces of a forecast, one step each."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from recurra.base.option import Opt
from recurra.engine.reference import branches
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import Recurrent, SteadyLinear
from recurra.nn.transformer.hooks import is_hooked


class SegmentsForecast(nn.Module):
    """Pieces of `segment` steps, all at once: each is one step of a recurrent layer from the state that the past made,
    which reads which piece it is, what is known of each of its steps, and once what is the same in all of a series
    (SegRNN: Lin et al. 2023, arXiv:2308.11200, section 3.3).
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
        self.moving = sizes["future"]  # numbers of a step; those behind them are of the series
        known = self.moving * segment + future_size - self.moving
        self.recurrent = Recurrent(input_size + known, input_size, cell=cell, backend=backend)
        self.output = SteadyLinear(self.recurrent.output_size, segment * sizes["targets"] * sizes["numbers"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, summary: Tensor, future: Tensor) -> Tensor:
        N, count = len(summary), self.number
        shares = self.training and self._is_unobserved()
        outputs = self._by_branches(summary, future) if shares else self._by_rows(summary, future)
        numbers = self.output(self.dropout(outputs)).view(count, N, self.segment, -1)
        found: Tensor = numbers.transpose(1, 2).reshape(count * self.segment, N, -1)[: self.horizon]
        return found

    def _is_unobserved(self) -> bool:
        """Whether nobody has asked for a way of their own through the layer, or sees when it is called."""
        return self.recurrent.backend == "auto" and self.recurrent.watch is None and not is_hooked(self.recurrent)

    def _by_rows(self, summary: Tensor, future: Tensor) -> Tensor:
        """(count, N, M) by the layer, for which each piece of each row is a row."""
        N, count = len(summary), self.number
        pieces = self.pieces.unsqueeze(1).expand(-1, N, -1)
        steady = future[:1, :, self.moving :].expand(count, -1, -1)
        x = torch.cat([pieces, self._moving(future), steady], 2).view(1, count * N, -1)
        widths = self.recurrent.state_sizes()
        h = summary.unsqueeze(0).expand(count, -1, -1).reshape(1, count * N, -1)
        states = (h, *(h.new_zeros(1, count * N, width) for width in widths[1:]))
        outputs, _ = self.recurrent(x, states if len(states) > 1 else states[0])
        found: Tensor = outputs.view(count, N, -1)
        return found

    def _by_branches(self, summary: Tensor, future: Tensor) -> Tensor:
        """The same, with products for each piece or each row alone, not for each pair of them: in training they are
        most of the work."""
        weights, moving = self.recurrent.weights_of(0, 0), self.segment * self.moving
        W, width = weights.packed["weight_ih"], self.pieces.shape[1]
        Wx = (self.pieces @ W[:, :width].T).unsqueeze(1) + future[0, :, self.moving :] @ W[:, width + moving :].T
        if moving:
            Wx = Wx + self._moving(future) @ W[:, width : width + moving].T
        states = (summary, *(summary.new_zeros(len(summary), size) for size in self.recurrent.state_sizes()[1:]))
        return branches(weights, Wx, states)[0]

    def _moving(self, future: Tensor) -> Tensor:
        """(count, N, segment * G) what is known of the steps of each piece; zeros behind the horizon."""
        filled = pad(future[..., : self.moving], (0, 0, 0, 0, 0, self.number * self.segment - self.horizon))
        apart = filled.view(self.number, self.segment, future.shape[1], self.moving)
        return apart.transpose(1, 2).reshape(self.number, future.shape[1], self.segment * self.moving)
