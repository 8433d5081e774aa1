"""What the output layer reads of a decoder's step: its state h, the vector x of its token, and a context of the source.

All take h (..., H), x (..., E) and the context (..., M), None where there is none, and return (..., D).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recurra.base.registry import Registry
from recurra.nn import SteadyLinear


class State(nn.Module):
    """h itself (Sutskever, Vinyals & Le 2014, arXiv:1409.3215)."""

    def forward(self, h: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        return h


class Tanh(nn.Module):
    """A layer on context and state: tanh(W [context; h]) (Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 5)."""

    def __init__(self, sizes: tuple[int, int, int], output_size: int) -> None:
        super().__init__()
        H, _, M = sizes
        self.joint = SteadyLinear(M + H, output_size, bias=False)

    def forward(self, h: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None
        return torch.tanh(self.joint(torch.cat([context, h], -1)))


class Maxout(nn.Module):
    """The larger of two, pair by pair, of U h + V x + C context + b.

    Source: Bahdanau et al. 2015, arXiv:1409.0473, A.2.2; Cho et al. 2014, arXiv:1406.1078, A.1.2.
    h is the state after the step, as in Cho et al.; Bahdanau et al. write the one before it.
    """

    def __init__(self, sizes: tuple[int, int, int], output_size: int) -> None:
        super().__init__()
        self.joint = SteadyLinear(sum(sizes), 2 * output_size)

    def forward(self, h: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        assert context is not None
        # Pairs are j and j + D: neighbours, as in the papers, would be read with a stride.
        first, second = self.joint(torch.cat([h, x, context], -1)).chunk(2, -1)
        return torch.maximum(first, second)


def state(sizes: tuple[int, int, int], output_size: int) -> State:
    """The state h itself; D is H (Sutskever, Vinyals & Le 2014, arXiv:1409.3215)."""
    return State()


# ((H, E, M), D) -> a module; M is 0 where there is no context
READOUTS: Registry[Callable[[tuple[int, int, int], int], nn.Module]] = Registry("readout")
READOUTS.add("state", state)
READOUTS.add("tanh", Tanh)
READOUTS.add("maxout", Maxout)
