"""Where attention looks: everywhere, or at a window around a position. Each turns scores (N, S, T) into weights.

Weights sum to one over the real positions of the region and are zero elsewhere; a row without real positions is zero.
Positions are counted from 0. `start` is the decoder's step of the first of the S queries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.nn.attention.memory import Memory, softmax_where


class Everywhere(nn.Module):
    """All real positions (Bahdanau et al. 2015, eq. 6; Luong et al. 2015, section 3.1, global)."""

    def forward(self, scores: Tensor, query: Tensor, memory: Memory, start: int) -> Tensor:
        return softmax_where(scores, memory.padding, may_be_empty=memory.has_empty)


class Monotonic(nn.Module):
    """The window [p_t - D, p_t + D] around p_t = t (Luong et al. 2015, section 3.2, local-m); window is D.

    Where the decoder is longer than the source, p_t stays at the last position, so that there is something to see.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, scores: Tensor, query: Tensor, memory: Memory, start: int) -> Tensor:
        steps = torch.arange(start, start + scores.shape[1], device=scores.device)
        centre = torch.minimum(steps, (memory.lengths - 1).unsqueeze(1)).unsqueeze(2)
        distance = torch.arange(scores.shape[2], device=scores.device) - centre
        return softmax_where(scores, memory.padding | (distance.abs() > self.window), may_be_empty=True)


class Predictive(nn.Module):
    """The window around a predicted position, under a Gaussian (Luong et al. 2015, section 3.2, eq. 9-10, local-p).

    p_t = length * sigmoid(v_p . tanh(W_p h_t));  a_t(s) = align(h_t, h_s) exp(-(s - p_t)^2 / (2 sigma^2)), sigma = D/2
    window: D                 normalize: divide the weights by their sum, which the paper does not
    """

    def __init__(self, query_size: int, window: int, *, normalize: bool) -> None:
        super().__init__()
        self.window = window
        self.normalize = normalize
        self.hidden = nn.Linear(query_size, query_size, bias=False)
        self.position = nn.Linear(query_size, 1, bias=False)

    def centre(self, query: Tensor, lengths: Tensor) -> Tensor:
        """p_t in 0..length, (N, S), of queries (N, S, Q)."""
        share = torch.sigmoid(self.position(torch.tanh(self.hidden(query)))).squeeze(2)
        return lengths.unsqueeze(1).to(share.dtype) * share

    def forward(self, scores: Tensor, query: Tensor, memory: Memory, start: int) -> Tensor:
        positions = torch.arange(scores.shape[2], device=scores.device, dtype=scores.dtype)
        distance = positions - self.centre(query, memory.lengths).unsqueeze(2)
        # p_t is at most one position behind the last, so with D >= 1 the window of a row with a position is not empty.
        hidden = memory.padding | (distance.abs() > self.window)
        gaussian = -2 * (distance / self.window) ** 2
        if self.normalize:  # in the exponent, where nothing can underflow
            return softmax_where(scores + gaussian, hidden, may_be_empty=True)
        return softmax_where(scores, hidden, may_be_empty=True) * torch.exp(gaussian)
