"""Tokens to vectors: a learned table, or one-hot rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.base.registry import Registry


class Embedding(nn.Module):
    """A learned vector a token; the padding token's is zero and stays so.

    tokens (T, N) int64 -> (T, N, size). Vectors are drawn from N(0, 1) / sqrt(size), so that their length is about 1.
    """

    def __init__(self, num_tokens: int, size: int, *, padding: int = 0) -> None:
        super().__init__()
        self.output_size = size
        self.weight = nn.Parameter(torch.randn(num_tokens, size) / size**0.5)
        self.padding = padding
        with torch.no_grad():
            self.weight[padding] = 0.0

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.embedding(tokens, self.weight, padding_idx=self.padding)


class OneHot(nn.Module):
    """One for the token, zero elsewhere: (T, N) -> (T, N, num_tokens); padding is all zeros. Nothing is learned."""

    def __init__(self, num_tokens: int, *, padding: int = 0) -> None:
        super().__init__()
        self.output_size = num_tokens
        self.padding = padding
        rows = torch.eye(num_tokens)
        rows[padding] = 0.0
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        rows: Tensor = self.get_buffer("rows")
        return nn.functional.embedding(tokens, rows)


EMBEDDINGS: Registry[type[nn.Module]] = Registry("embedding")
EMBEDDINGS.add("learned", Embedding)
EMBEDDINGS.add("one_hot", OneHot)
