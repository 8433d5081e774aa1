"""Keys and values of steps that have been, for one step after another: of the target, and of the source."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.engine.attention import Reads

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

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each."""
        return list(zip(self.keys, self.values, strict=True))

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

    def reads(self, held: Tensor) -> Reads:
        """Where all steps of each row stand in keys and values as (steps * rows, d). held: (t, B) in which row"""
        t, B = held.shape
        places = held + self.keys[0].shape[1] * torch.arange(t, device=held.device).unsqueeze(1)
        return Reads.of(places.t().flatten(), (t,) * B)


def reads_of(places: Sequence[tuple[int, int]], device: torch.device) -> Reads:
    """Rows that stand together. places: of each query, its first row and how many it has"""
    counts = torch.tensor([count for _, count in places], dtype=torch.int64)
    firsts = torch.tensor([first for first, _ in places], dtype=torch.int64) - (counts.cumsum(0) - counts)
    rows = torch.repeat_interleave(firsts, counts)
    return Reads.of((rows + torch.arange(len(rows))).to(device), tuple(counts.tolist()))
