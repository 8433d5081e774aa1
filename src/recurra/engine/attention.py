"""Attention of single queries over rows of keys and values, wherever these stand: a step of decoding.

The readable path gathers the rows that queries of one length read; the engine reads them where they are. Each query's
answer has the same bits alone and beside any others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.engine import cpu
from recurra.engine.call import recording, transformed
from recurra.engine.memory import PLAIN, address, in_order

# Multiply-adds of a call from which on threads share it.
SMALLEST_SHARED = 1 << 20


@dataclass(frozen=True, slots=True)
class Reads:
    """Which rows each of B queries reads. rows: of all queries, one behind the other; counts: how many of each

    ends: (B + 1,) where the rows of each begin and end
    """

    rows: Tensor
    counts: tuple[int, ...]
    ends: Tensor

    @classmethod
    def of(cls, rows: Tensor, counts: tuple[int, ...]) -> Reads:
        """Of rows (sum of counts,), int64."""
        each = torch.tensor((0, *counts), dtype=torch.int64, device=rows.device)
        return cls(rows.contiguous(), counts, each.cumsum(0))


def attend(q: Tensor, keys: Tensor, values: Tensor, reads: Reads, num_heads: int) -> Tensor:
    """(B, d): sum of softmax(q k / sqrt(d / heads)) v over the rows that each query reads, zero where there are none.

    q: (B, d)      keys, values: (R, d), contiguous      Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    if not _can_run(q, keys, values):
        return _readable(q, keys, values, reads, num_heads)
    q, out = in_order(q), torch.empty_like(q, memory_format=torch.contiguous_format)
    size = q.shape[1] // num_heads
    threads = torch.get_num_threads() if len(reads.rows) * q.shape[1] >= SMALLEST_SHARED else 1
    addresses = [address(t) for t in (q, keys, values, reads.rows, reads.ends, out)]
    cpu._native.attend(cpu.instruction_set(), [len(q), num_heads, size, threads], addresses, size**-0.5)
    return out


def _readable(q: Tensor, keys: Tensor, values: Tensor, reads: Reads, num_heads: int) -> Tensor:
    found, starts = torch.zeros_like(q), reads.ends.tolist()
    order = sorted(range(len(q)), key=lambda b: (reads.counts[b], b))
    for count, some in groupby(order, key=lambda b: reads.counts[b]):
        members = list(some)
        if count:
            rows = torch.stack([reads.rows[starts[b] : starts[b] + count] for b in members])
            one = q[members].view(len(members), num_heads, 1, -1)
            k, v = _of_rows(keys, rows, num_heads), _of_rows(values, rows, num_heads)
            found[members] = F.scaled_dot_product_attention(one, k, v).reshape(len(members), -1)
    return found


def _of_rows(part: Tensor, rows: Tensor, num_heads: int) -> Tensor:
    """(n, heads, L, size) of the rows (n, L) of keys or values."""
    n, L = rows.shape
    return part[rows].view(n, L, num_heads, -1).transpose(1, 2)


def _can_run(*tensors: Tensor) -> bool:
    plain = all(type(t) in PLAIN and t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    if not plain or recording() or transformed(list(tensors)) or torch.is_grad_enabled():
        return False
    return tensors[0].numel() > 0 and cpu.available()
