"""Tokens to vectors: a learned table, or one-hot rows. Padding, token 0, is the zero vector in both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0


def vectors(number: int, size: int) -> Tensor:
    """(number, size), drawn from N(0, 1) / sqrt(size)."""
    table = torch.empty(number, size)
    # On the meta device, where configs are checked, there is nothing to draw, and torch would import a compiler for it.
    return table if table.is_meta else table.normal_().div_(size**0.5)


class Embedding(nn.Module):
    """A learned vector a token: (T, N) int64 -> (T, N, size). Padding's is zero and stays so.

    Vectors are drawn from N(0, 1) / sqrt(size), so that their length is about 1 whatever their size.
    """

    def __init__(self, num_tokens: int, size: int) -> None:
        super().__init__()
        self.output_size = size
        self.weight = nn.Parameter(vectors(num_tokens, size))
        with torch.no_grad():
            self.weight[PADDING] = 0.0

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.embedding(tokens, self.weight, padding_idx=PADDING)


class OneHot(nn.Module):
    """One for the token, zero elsewhere: (T, N) -> (T, N, num_tokens). Nothing is learned."""

    rows: Tensor

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.output_size = num_tokens
        rows = torch.eye(num_tokens)
        rows[PADDING] = 0.0
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.embedding(tokens, self.rows)
