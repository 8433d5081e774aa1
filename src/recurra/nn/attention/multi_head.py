"""Several attentions side by side, each on its own projection of queries, keys and values."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.nn.attention.memory import Memory, is_any_empty, real_values, softmax_where
from recurra.nn.attention.queries import check, like, many


class MultiHead(nn.Module):
    """Concat(head_1 .. head_h) W_O with head_i = softmax(Q W_i^Q (K W_i^K)^T / sqrt(d)) V W_i^V.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2. Contexts are of the query's size; d = query_size / h.
    Raises ConfigError unless num_heads divides query_size.
    """

    def __init__(self, query_size: int, memory_size: int, *, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or query_size % num_heads:
            raise ConfigError(
                f"num_heads: {num_heads} does not divide the query's {query_size} numbers; expected a divisor of it."
            )
        self.query_size = self.context_size = query_size
        self.num_heads = num_heads
        self.covers = False
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(memory_size, query_size, bias=False)
        self.value = nn.Linear(memory_size, query_size, bias=False)
        self.output = nn.Linear(query_size, query_size, bias=False)

    def prepare(self, memory: Tensor, lengths: Tensor | None = None) -> Memory:
        """Keys and values (N, T, Q), all heads side by side, of a memory (T, N, M). Raises ShapeError."""
        values, padding, lengths = real_values(memory, lengths)
        return Memory(self.value(values), self.key(values), padding, lengths, is_any_empty(lengths))

    def attend(
        self, query: Tensor, memory: Memory, *, start: int = 0, coverage: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `Attention.attend`; the weights are the mean over heads. Raises ShapeError."""
        check(query, self.query_size, memory, coverage, covers=False)
        q, k, v = (self._heads(part) for part in (self.query(many(query)), memory.keys, memory.values))
        scores = torch.matmul(q / math.sqrt(q.shape[-1]), k.transpose(2, 3))
        weights = softmax_where(scores, memory.padding.unsqueeze(1), may_be_empty=memory.has_empty)
        heads = torch.matmul(weights, v).transpose(1, 2).flatten(2)
        return like(query, self.output(heads)), like(query, weights.mean(1))

    def forward(self, query: Tensor, memory: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`prepare` and `attend` in one call."""
        return self.attend(query, self.prepare(memory, lengths))

    def _heads(self, x: Tensor) -> Tensor:
        """(N, T, Q) -> (N, heads, T, d)."""
        N, T, size = x.shape
        return x.reshape(N, T, self.num_heads, size // self.num_heads).transpose(1, 2)
