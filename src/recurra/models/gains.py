"""Gains of reversible instance normalisation: learned, on what is read, and turned back on what is said."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# So that a gain that has come to 0 divides nothing by it; the square of the constant of the authors' code.
LEAST = 1e-10


class Gains(nn.Module):
    """x to weight x + bias, a pair for each of D targets, and back. Both begin as nothing: 1 and 0.

    Source: Kim et al. 2022, Reversible instance normalization, section 3; windows are normalised before.
    """

    def __init__(self, targets: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(targets, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(targets, dtype=torch.float32))

    def forward(self, values: Tensor) -> Tensor:
        """(..., D)."""
        return values * self.weight + self.bias

    def back(self, values: Tensor, *, shifted: bool) -> Tensor:
        """(..., D) as they were. shifted: of values; of differences between two of them the bias is gone already"""
        return (values - self.bias if shifted else values) / (self.weight + LEAST)
