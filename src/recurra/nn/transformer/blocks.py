"""Sequences in chunks: the steps of a chunk see one another, some steps before it and some behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from recurra.engine.span_attention import Spans, can_attend
from recurra.nn.transformer.attention import Cache, SelfAttention, attended
from recurra.nn.transformer.layers import TransformerEncoderLayer, fed_forward
from recurra.nn.transformer.positions import rotated_at


@dataclass(frozen=True, slots=True)
class Chunks:
    """How sequences are cut: into chunks of so many steps, each of which sees `left` before it and `ahead` behind."""

    steps: int
    ahead: int
    left: int

    def ready(self, steps: int, *, last: bool) -> int:
        """Steps of which something can be said, of so many that are there. last: no more come"""
        return steps if last else max(steps - self.ahead, 0) // self.steps * self.steps


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where chunks stand when they are rows, one behind the other, each with copies of the steps behind it.

    source: (S,) of each row in x.flatten(0, 1)      at: (S,) its step, since the sequence began
    keys: (M,) the rows that the blocks see, block by block, among those of a cache (N * left) and, behind these, the S
    turns: positions in their blocks of the S queries and of the M keys      spans: of the blocks
    own: (R,) the rows that are no copies      place: (R,) of these in the outputs' flatten(0, 1)
    lengths: how many each sequence has      kept: (N * left,) what a cache keeps, numbered as `keys`
    """

    source: Tensor
    at: Tensor
    keys: Tensor
    turns: tuple[Tensor, Tensor]
    sizes: tuple[tuple[int, int], ...]
    own: Tensor
    place: Tensor
    lengths: tuple[int, ...]
    kept: Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], before: Sequence[int], how: Chunks, *, last: bool) -> Blocks:
        """Of sequences with so many steps that are not said yet, behind so many that are."""
        N, left, C = len(lengths), how.left, how.steps
        source, at, keys, own, kept = (list[int]() for _ in range(5))
        sizes, turns = list[tuple[int, int]](), (list[int](), list[int]())
        said = [how.ready(length, last=last) for length in lengths]
        for n in range(N):
            known = list(range(n * left, (n + 1) * left))  # rows of the steps before, the latest last
            seen = min(before[n], left)
            for first in range(0, said[n], C):
                end, row = min(first + C, lengths[n]), len(source)
                steps = range(first, min(end + how.ahead, lengths[n]))
                source += [t * N + n for t in steps]
                at += [before[n] + t for t in steps]
                rows = range(N * left + row, N * left + row + len(steps))
                keys += [*known[len(known) - seen :], *rows]
                sizes.append((len(steps), seen + len(steps)))
                turns[0].extend(range(seen, seen + len(steps)))
                turns[1].extend(range(seen + len(steps)))
                own += range(row, row + end - first)
                known = (known + list(rows[: end - first]))[-left:] if left else []
                seen = min(seen + end - first, left)
            kept += known
        place = [t * N + n for n in range(N) for t in range(said[n])]
        numbers = [torch.tensor(each, dtype=torch.int64) for each in (source, at, keys, *turns, own, place, kept)]
        source_, at_, keys_, queries, others, own_, place_, kept_ = numbers
        return cls(source_, at_, keys_, (queries, others), tuple(sizes), own_, place_, tuple(said), kept_)

    def padded(self, rows: Tensor, T: int | None = None) -> Tensor:
        """(T, N, d), zero where padded, of the rows (R, d) that are no copies. T: by default the most that one has"""
        N, T = len(self.lengths), max(self.lengths, default=0) if T is None else T
        flat = rows.new_zeros(T * N, rows.shape[1])
        return flat.index_copy(0, self.place.to(rows.device), rows).view(T, N, rows.shape[1])


def layer_of(
    layer: TransformerEncoderLayer, x: Tensor, blocks: Blocks, cache: Cache | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(S, d) of rows (S, d), and the keys and values that a cache keeps (N * left, d).

    cache: of the steps before, (N * left, d) each; None: there are none
    """
    said, k, v = _seen(layer.self_attn, layer.norm1(x), blocks, cache)
    x = x + layer.dropout1(said)
    return x + layer.dropout2(fed_forward(layer, layer.norm2(x))), k, v


def _seen(attention: SelfAttention, x: Tensor, blocks: Blocks, cache: Cache | None) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = attention.projected(x)
    if cache is None:
        empty = k.new_zeros(len(blocks.kept), k.shape[1])
        cache = (empty, empty)
    k, v = (torch.cat([old, new]) for old, new in zip(cache, (k, v), strict=True))
    at, kept = blocks.keys.to(x.device), blocks.kept.to(x.device)
    return attention.out_proj(_attended(attention, q, k[at], v[at], blocks)), k[kept], v[kept]


def _turned(attention: SelfAttention, rows: Tensor, steps: Tensor) -> Tensor:
    if not attention.rotary:
        return rows
    heads = rows.view(-1, attention.num_heads, attention.head_dim)
    return rotated_at(heads, steps.to(rows.device).unsqueeze(1)).flatten(1)


def _attended(attention: SelfAttention, q: Tensor, k: Tensor, v: Tensor, blocks: Blocks) -> Tensor:
    """(S, d): of queries (S, d), and keys and values (M, d), block by block."""
    sizes = blocks.sizes
    if can_attend(q, k, v, dropout=attention.drops):
        return attention.over(q, k, v, Spans.of(*torch.tensor(sizes, dtype=torch.int64).T))
    q, k = (_turned(attention, *each) for each in zip((q, k), blocks.turns, strict=True))
    found, row, other = list[Tensor](), 0, 0
    for (queries, keys), some in groupby(sizes):
        number = len(list(some))
        parts = (q[row : row + number * queries], *(p[other : other + number * keys] for p in (k, v)))
        heads = [p.view(number, -1, attention.num_heads, attention.head_dim).transpose(1, 2) for p in parts]
        said = attended(heads[0], heads[1], heads[2], None, attention.drops)
        found.append(said.transpose(1, 2).reshape(number * queries, attention.embed_dim))
        row, other = row + number * queries, other + number * keys
    return torch.cat(found) if found else q
