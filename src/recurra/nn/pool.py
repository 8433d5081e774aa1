"""A sequence to one vector: last state, mean, maximum, all three, or attention. Padding never takes part.

Each takes the outputs (T, N, F), the last layer's final hidden states, merged like the outputs (N, F), and the mask
(T, N), True where a step is real; and returns (N, output_size). An empty sequence gives zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.base.registry import Registry
from recurra.nn.linear import SteadyLinear


class Last(nn.Module):
    """The final hidden state of each direction: after the last real step, and after the first one backwards."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask.any(0).unsqueeze(1), last, last.new_zeros(()))


class Mean(nn.Module):
    """The mean over real steps."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
        total = _total(_real(outputs, mask), in_order=not self.training)
        return total / mask.sum(0).clamp(min=1).unsqueeze(1)


class Max(nn.Module):
    """The maximum over real steps, feature by feature (Collobert et al. 2011, section 3.2.2)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
        if not len(outputs):
            return outputs.new_zeros(outputs.shape[1:])
        best = outputs.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(0)
        return torch.where(mask.any(0).unsqueeze(1), best, best.new_zeros(()))


class Attention(nn.Module):
    """A weighted mean, weights by a one-layer network and a learned query (Yang et al. 2016, eq. 5-7)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size
        self.hidden = SteadyLinear(size, size)
        self.query = SteadyLinear(size, 1, bias=False)

    def weights(self, outputs: Tensor, mask: Tensor) -> Tensor:
        """Attention over real steps, (T, N); columns sum to one, or are zero for an empty sequence."""
        scores = self.query(torch.tanh(self.hidden(_real(outputs, mask)))).squeeze(2)
        # The lowest finite number, not -inf: an empty column would be NaN, and its gradient too.
        # Along the last axis, row by row: across rows torch has other bits for one of them than for many.
        rows = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).T.contiguous()
        weights = torch.softmax(rows, 1).T
        return torch.where(mask, weights, weights.new_zeros(()))

    def forward(self, outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
        weighted = self.weights(outputs, mask).unsqueeze(2) * _real(outputs, mask)
        return _total(weighted, in_order=not self.training)


class Concat(nn.Module):
    """Last state, maximum and mean, one after the other (Howard & Ruder 2018, arXiv:1801.06146, section 3.3)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = 3 * size
        self.parts = nn.ModuleList([Last(size), Max(size), Mean(size)])

    def forward(self, outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
        return torch.cat([part(outputs, last, mask) for part in self.parts], 1)


def _total(x: Tensor, *, in_order: bool) -> Tensor:
    """The sum over steps; in_order: one after the other, whatever rows and padding are beside a row.

    torch sums many rows in another order than one.
    """
    return x.cumsum(0)[-1] if in_order and len(x) else x.sum(0)


def _real(outputs: Tensor, mask: Tensor) -> Tensor:
    """Outputs with zeros where padded: selected, since zero times NaN is NaN."""
    return torch.where(mask.unsqueeze(2), outputs, outputs.new_zeros(()))


Pool = Last | Mean | Max | Concat | Attention
POOLS: Registry[type[Pool]] = Registry("pooling", "recurra.poolings")
POOLS.add("last", Last)
POOLS.add("mean", Mean)
POOLS.add("max", Max)
POOLS.add("concat", Concat)
POOLS.add("attention", Attention)
