"""A linear layer that runs on the engine's tiles where they are faster than torch."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.engine import linear


class Linear(nn.Linear):
    """y = x W^T + b, drop-in for torch.nn.Linear: same arguments, names and state_dict.

    (..., D) -> (..., V). float32 on AMD processors with AVX-512 runs on the tiles, everything else as in torch.
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear.linear(x, self.weight, self.bias)


class SteadyLinear(nn.Linear):
    """The same, whose rows in evaluation have the same bits alone and among others, where the engine runs."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return linear.linear(x, self.weight, self.bias)
        return linear.steady_linear(x, self.weight, self.bias)
