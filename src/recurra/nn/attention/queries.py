"""Queries of one step or of many, and their results in the same form."""

from __future__ import annotations

from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.nn.attention.memory import Memory


def many(query: Tensor) -> Tensor:
    """(N, S, Q) of one step (N, Q) or many (S, N, Q)."""
    return query.unsqueeze(1) if query.dim() == 2 else query.transpose(0, 1)


def like(query: Tensor, result: Tensor) -> Tensor:
    """A result (N, S, F) in the form of the query: (N, F) or (S, N, F)."""
    return result.squeeze(1) if query.dim() == 2 else result.transpose(0, 1)


def check(query: Tensor, query_size: int, memory: Memory, coverage: Tensor | None, *, covers: bool) -> None:
    """Raise ShapeError unless the query fits, and the coverage is there if and only if the score reads it."""
    N, T = memory.keys.shape[:2]
    if query.dim() not in (2, 3) or query.shape[-2:] != (N, query_size):
        raise ShapeError(
            f"attention: the query has shape {tuple(query.shape)}, expected ({N}, {query_size}) for one step "
            f"or (S, {N}, {query_size}) for many."
        )
    if covers and coverage is None:
        raise ShapeError(f"attention: this score reads the coverage ({N}, {T}); give coverage=, zeros at the start.")
    if coverage is not None and not covers:
        raise ShapeError("attention: this score reads no coverage; leave it out, or make it with coverage=True.")
    if coverage is not None and (coverage.shape != (N, T) or query.dim() == 3):
        raise ShapeError(f"attention: coverage has shape {tuple(coverage.shape)}, expected ({N}, {T}), for one step.")
