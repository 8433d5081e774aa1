"""Attention of sequences that stand one behind the other as rows, and dropout: float32 on the CPU, in native code.

softmax(Q K^T / sqrt(d)) V of each head of each sequence (Vaswani et al. 2017, equation 1). Weights are never in memory
as a whole, and what was dropped of them is drawn anew for the gradient. A sequence has the same bits alone and among
others, for any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.engine import cpu
from recurra.engine.call import recording, transformed
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored

# Probabilities of dropout are multiples of 2^-31.
DRAWS = 2**31
# Multiply-adds below which a call is not shared among threads.
SMALLEST_SHARED = 2**20


@dataclass(frozen=True, slots=True)
class Spans:
    """Where sequences are among the rows of queries and of keys.

    table: (n, 4) int64, of each its first query, queries, first key and keys; no row is in two
    products: of queries and keys, summed over sequences      all_keys: whether every row of keys is in one
    """

    table: Tensor
    products: int
    all_keys: bool

    @classmethod
    def of(cls, queries: Tensor, keys: Tensor | None = None) -> Spans:
        """Of sequences one behind the other. queries, keys: (n,) int64, how many each has; None: as many keys"""
        keys = queries if keys is None else keys
        starts = [torch.cumsum(each, 0) - each for each in (queries, keys)]
        return cls(torch.stack([starts[0], queries, starts[1], keys], 1), int((queries * keys).sum()), True)

    @classmethod
    def of_one(cls, steps: int) -> Spans:
        """Of one sequence, whose keys are its queries."""
        return cls(torch.tensor([[0, steps, 0, steps]], dtype=torch.int64), steps * steps, True)


def can_attend(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0) -> bool:
    """Whether `attend` takes such rows: plain float32 on the CPU, each row's numbers side by side, not recorded.

    dropout: of the weights, not all of them: nothing would be left to scale
    """
    if not 0 <= round(dropout * DRAWS) < DRAWS:
        return False
    tensors = [q, k, v]
    if recording() or not all(_is_rows(t) for t in tensors) or transformed(tensors):
        return False
    return q.numel() > 0 and k.numel() > 0 and cpu.available()


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    spans: Spans,
    heads: int,
    *,
    causal: bool = False,
    window: int = 0,
    dropout: float = 0,
    turns: Tensor | None = None,
) -> Tensor:
    """(Q, d): of queries (Q, d) and of keys and values (K, d), in heads of d / heads numbers side by side.

    causal: query i of L sees the keys up to i + keys - L      window: of these the last so many; 0: all
    dropout: of the weights, 0 to less than 1, rounded to a multiple of 2^-31. A query that sees no key has zeros.
    turns: (at least as many as a sequence has keys, d / heads) float32, cosines and sines by which queries and keys are
    turned: a key by its place, query i of L by that of key i + keys - L (Su et al. 2021, arXiv:2104.09864, equation 15)
    """
    how = (heads, causal, window, turns, *drawn(dropout))
    rows = [t if _in_rows(t) else in_order(t) for t in (q, k, v)]
    if torch.is_grad_enabled() and any(t.requires_grad for t in rows):
        made: Tensor = _Attention.apply(*rows, spans, how)  # type: ignore[no-untyped-call]
        return made
    return _attended(rows[0], rows[1], rows[2], spans, how)[0]


def drawn(p: float) -> tuple[int, int]:
    """How often of 2^31 a number is dropped, and a seed from torch's generator; zeros where none is."""
    dropped = round(p * DRAWS)
    return (dropped, int(torch.randint(2**63 - 1, (), dtype=torch.int64))) if dropped else (0, 0)


def dropped_out(x: Tensor, dropped: int, seed: int) -> Tensor:
    """x without the numbers that this seed drops, `dropped` of 2^31 of them, the rest scaled; its mask is not kept."""
    made: Tensor = _Dropout.apply(in_order(x), dropped, seed)  # type: ignore[no-untyped-call]
    return made


def drop_here(x: Tensor, dropped: int, seed: int) -> Tensor:
    """The same in the place of x, contiguous, which is read by nothing else and kept by no gradient."""
    made: Tensor = _DropHere.apply(x, dropped, seed)  # type: ignore[no-untyped-call]
    return made


def can_drop(x: Tensor) -> bool:
    """Whether `dropped_out` takes such a tensor."""
    if recording() or type(x) not in PLAIN or x.dtype is not torch.float32 or not x.is_cpu or transformed([x]):
        return False
    return cpu.available()


class _Dropout(torch.autograd.Function):
    """The same numbers are dropped of the gradient, and of the gradient's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int, seed: int) -> Tensor:
        ctx.drawn = (dropped, seed)
        y = torch.empty_like(x)
        cpu._native.drop(cpu.instruction_set(), x.data_ptr(), y.data_ptr(), x.numel(), dropped, seed)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return dropped_out(gradient, *ctx.drawn), None, None


class _DropHere(torch.autograd.Function):
    """The same, with no second tensor of its size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int, seed: int) -> Tensor:
        ctx.drawn = (dropped, seed)
        ctx.mark_dirty(x)
        cpu._native.drop(cpu.instruction_set(), x.data_ptr(), x.data_ptr(), x.numel(), dropped, seed)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return dropped_out(gradient, *ctx.drawn), None, None


def _is_rows(t: Tensor) -> bool:
    return type(t) in PLAIN and t.dtype is torch.float32 and t.is_cpu and t.dim() == 2


def _in_rows(t: Tensor) -> bool:
    return t.stride(1) == 1 and not t.is_neg()


How = tuple[int, bool, int, Tensor | None, int, int]


def _sizes(q: Tensor, k: Tensor, v: Tensor, spans: Spans, how: How) -> list[int]:
    heads, causal, window, turns = how[:4]
    if turns is not None:
        _refuse_turns(turns, q.shape[1] // heads, spans, causal=causal)
    work = spans.products * q.shape[1]
    threads = torch.get_num_threads() if work >= SMALLEST_SHARED else 1
    strides = (q.stride(0), k.stride(0), v.stride(0))
    return [len(spans.table), heads, q.shape[1] // heads, *strides, int(causal), window, threads]


def _attended(q: Tensor, k: Tensor, v: Tensor, spans: Spans, how: How) -> tuple[Tensor, Tensor]:
    heads = how[0]
    out, log_sums = q.new_empty(q.shape), q.new_empty(len(q), heads)
    addresses = [address(t) for t in (spans.table, q, k, v, out, log_sums)] + [_turns_at(how)]
    scale = 1 / math.sqrt(q.shape[1] // heads)
    cpu._native.attend_spans(cpu.instruction_set(), _sizes(q, k, v, spans, how), addresses, scale, *how[4:])
    return out, log_sums


def _refuse_turns(turns: Tensor, size: int, spans: Spans, *, causal: bool) -> None:
    queries, keys = spans.table[:, 1], spans.table[:, 3]
    most = max(int(keys.max()), 1) if len(keys) else 0
    if (
        type(turns) not in PLAIN
        or turns.dtype is not torch.float32
        or turns.shape[1:] != (size,)
        or len(turns) < most
        or not turns.is_contiguous()
    ):
        raise ValueError(
            f"turns: expected float32 of shape ({most} or more, {size}), rows in order, got {turns.dtype} of "
            f"{tuple(turns.shape)}."
        )
    if size % 2:
        raise ValueError(f"turns: heads of {size} numbers, expected an even number: they are turned in pairs.")
    if not causal and bool((queries > keys).any()):
        raise ValueError("turns: a sequence has more queries than keys, and its first ones no place; use causal=True.")


def _turns_at(how: How) -> int:
    return 0 if how[3] is None else address(how[3])


REFUSAL = "Attention has no second derivatives in float32 on the CPU; use float64."


class _Attention(torch.autograd.Function):
    """Attention with its gradients, for which weights are computed anew."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, spans: Spans, how: How) -> Tensor:
        out, log_sums = _attended(q, k, v, spans, how)
        ctx.save_for_backward(q, k, v, out, log_sums)
        ctx.kinds = kinds((q, k, v, out, log_sums))
        ctx.spans, ctx.how = spans, how
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        saved: list[Tensor] = restored_rows(ctx.saved_tensors, ctx.kinds)
        q, k, v, out, log_sums = saved
        spans, how = ctx.spans, ctx.how
        d_out = in_order(d_out)
        new = torch.empty if spans.all_keys else torch.zeros
        d_q, d_k, d_v = q.new_empty(q.shape), new(k.shape), new(v.shape)
        addresses = [address(t) for t in (spans.table, q, k, v, out, log_sums)] + [_turns_at(how)]
        addresses += [address(t) for t in (d_out, d_q, d_k, d_v)]
        scale = 1 / math.sqrt(q.shape[1] // how[0])
        isa, sizes = cpu.instruction_set(), _sizes(q, k, v, spans, how)
        cpu._native.span_gradients(isa, sizes, addresses, scale, *how[4:])
        return (*refuse_double_backward((d_q, d_k, d_v), (q, k, v, d_out), REFUSAL), None, None)


def restored_rows(saved: Any, kinds: Any) -> list[Tensor]:
    """As `restored`, but rows that lie apart stay as they are."""
    return [
        t if _is_rows(t) and _in_rows(t) and t.shape == kind[0] else restored((t,), (kind,))[0]
        for t, kind in zip(saved, kinds, strict=True)
    ]
