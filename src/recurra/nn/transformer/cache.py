"""Keys and values of steps that have been, for one step after another: of the target, and of the source."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

# Steps for which there is room at first.
STEPS = 32


class KeyValueCache:
    """Keys and values of each layer, (steps, rows, d) each, made once and doubled where they are full.

    A step writes one row for each hypothesis and moves none: which row holds an earlier step of a hypothesis is for
    its state to know, so that a beam that reorders its hypotheses reorders a few numbers.
    """

    def __init__(self, layers: int, size: int, like: Tensor, *, steps: int = STEPS, rows: int = 1) -> None:
        with torch.inference_mode(False):  # so that steps may be written in any mode
            self.keys, self.values = (
                [torch.empty(steps, rows, size, dtype=like.dtype, device=like.device) for _ in range(layers)]
                for _ in range(2)
            )
        self.written = 0

    def with_room(self, position: int, rows: int) -> KeyValueCache:
        """Where step `position` of so many rows can be written; the cache itself, unless it is full or has the step.

        What has the step already is another's: the steps before it are copied, so that both may go on.
        """
        steps, known, size = self.keys[0].shape
        if self.written == position < steps and rows <= known:
            self.written += 1
            return self
        room = (2 * steps if position >= steps else steps), max(rows, known)
        other = KeyValueCache(len(self.keys), size, self.keys[0], steps=room[0], rows=room[1])
        for new, old in ((other.keys, self.keys), (other.values, self.values)):
            for a, b in zip(new, old, strict=True):
                a[:position, :known] = b[:position]
        other.written = position + 1
        return other

    def write(self, layer: int, position: int, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values (B, d) of a step, without their gradients."""
        self.keys[layer][position, : len(keys)] = keys.detach()
        self.values[layer][position, : len(values)] = values.detach()


def attend_before(q: Tensor, keys: Tensor, values: Tensor, held: Tensor, num_heads: int) -> Tensor:
    """(B, d): each query (B, d) over the steps before it and its own.

    keys, values: (steps, rows, d) of a cache      held: (t, B) in which row each step of each query stands
    """
    t, B = held.shape
    steps = torch.arange(t, device=held.device).unsqueeze(1)
    seen = (part[steps, held].view(t, B, num_heads, -1).permute(1, 2, 0, 3) for part in (keys, values))
    return _one_query_each(q, *seen)


def attend_source(q: Tensor, keys: Tensor, values: Tensor, places: Sequence[tuple[int, int]], num_heads: int) -> Tensor:
    """(B, d): each query (B, d) over its source; zero over one without steps.

    keys, values: (R, d) of all sources, one behind the other      places: of each query, its source's first row and
    how many rows it has
    """
    found = torch.zeros_like(q)
    order = sorted(range(len(q)), key=lambda b: (places[b][1], b))
    for length, some in groupby(order, key=lambda b: places[b][1]):
        members = list(some)
        if length:
            starts = torch.tensor([places[b][0] for b in members], device=q.device).unsqueeze(1)
            rows = starts + torch.arange(length, device=q.device)
            seen = (part[rows].view(len(members), length, num_heads, -1).transpose(1, 2) for part in (keys, values))
            found[members] = _one_query_each(q[members], *seen)
    return found


def _one_query_each(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(B, d) of queries (B, d), keys and values (B, heads, L, d / heads)."""
    B, heads, _, size = keys.shape
    return F.scaled_dot_product_attention(q.view(B, heads, 1, size), keys, values).reshape(B, heads * size)
