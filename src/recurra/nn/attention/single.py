"""Attention with one set of weights a query: a score, a region, and the weighted sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from recurra.nn.attention.memory import Memory, is_any_empty, real_values
from recurra.nn.attention.queries import check, like, many
from recurra.nn.attention.scores import Additive


class Attends(Protocol):
    """What every attention offers. `prepare` once a batch, `attend` at each step or for all steps at once.

    context_size: numbers in a context        covers: whether `attend` needs the coverage
    """

    context_size: int
    covers: bool

    def prepare(self, memory: Tensor, lengths: Tensor | None = None) -> Memory: ...
    def attend(
        self, query: Tensor, memory: Memory, *, start: int = 0, coverage: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...
    def __call__(self, query: Tensor, memory: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]: ...


class Attention(nn.Module):
    """context_t = sum over s of a_t(s) h_s, with a_t = region(score(query_t, h_s)).

    score and region: modules of `scores` and `regions`, made for queries (..., query_size) and a memory (T, N, M)
    """

    def __init__(self, score: nn.Module, region: nn.Module, *, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.score = score
        self.region = region
        self.query_size = query_size
        self.context_size = memory_size
        self.covers = isinstance(score, Additive) and score.coverage is not None

    def prepare(self, memory: Tensor, lengths: Tensor | None = None) -> Memory:
        """What does not depend on the query, of a memory (T, N, M) with lengths (N,), T each if None.

        Padding may hold anything, NaN too. Raises ShapeError.
        """
        values, padding, lengths = real_values(memory, lengths)
        keys: Callable[[Tensor], Tensor] = self.score.keys  # type: ignore[assignment]
        return Memory(values, keys(values), padding, lengths, is_any_empty(lengths))

    def attend(
        self, query: Tensor, memory: Memory, *, start: int = 0, coverage: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Contexts and weights: (N, M) and (N, T) for one step (N, Q); (S, N, M) and (S, N, T) for many (S, N, Q).

        start:    the decoder's step that the first query is of, from 0; read by local_monotonic alone
        coverage: (N, T), the sum of all earlier weights; given if and only if the score was made with it
        Raises ShapeError.
        """
        check(query, self.query_size, memory, coverage, covers=self.covers)
        queries = many(query)
        scores = self.score(queries, memory.keys, *(() if coverage is None else (coverage,)))
        weights = self.region(scores, queries, memory, start)
        context = torch.bmm(weights, memory.values)
        return like(query, context), like(query, weights)

    def forward(self, query: Tensor, memory: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`prepare` and `attend` in one call."""
        return self.attend(query, self.prepare(memory, lengths))
