"""First states of a recurrent layer, from a vector for each row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.nn import Recurrent, SteadyLinear
from recurra.nn.recurrent import State


class FirstStates:
    """tanh(W z + b) for each state of a layer, but those that are one memory with others, which are zero.

    recurrent: whose states these are; it belongs to who asks, and so do the weights of `made_for`
    """

    def __init__(self, recurrent: Recurrent) -> None:
        names = zip(recurrent.cell.states, recurrent.state_sizes(), strict=True)
        self.layers = recurrent.num_layers
        self.sizes = [(0 if name in recurrent.cell.together else size, size) for name, size in names]

    def made_for(self, size: int) -> SteadyLinear:
        """W and b, for vectors of this size."""
        return SteadyLinear(size, self.layers * sum(own for own, _ in self.sizes))

    def __call__(self, begin: nn.Module, vectors: Tensor) -> tuple[Tensor, ...]:
        """(layers, N, width) of each state, from vectors (N, size)."""
        widths = [own for own, _ in self.sizes]
        made = torch.tanh(begin(vectors)).view(len(vectors), self.layers, sum(widths)).transpose(0, 1)
        parts = torch.split(made, widths, 2)
        zeros = (vectors.new_zeros(self.layers, len(vectors), size) for _, size in self.sizes)
        each = zip(parts, zeros, self.sizes, strict=True)
        return tuple((part if own else zero).contiguous() for part, zero, (own, _) in each)


def as_state(begun: tuple[Tensor, ...]) -> State:
    """As a layer takes them: a cell of one state has no tuple."""
    return begun if len(begun) > 1 else begun[0]
