"""Heads of attention in numbers: how widely each looks, and whether it looks elsewhere at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.base.contracts import Table

# A head whose entropy is at least this share of the greatest there is looks everywhere alike.
FLAT = 0.98
# A head of whose weight less than this moves from a step to the next looks at the same places whatever is asked.
STILL = 0.02


@dataclass(frozen=True, slots=True)
class HeadProbe:
    """entropy: of the weights, 0..1 of log of the number of places, mean over the steps

    moves: the share of the weight, 0..1, that is elsewhere at the next step, mean over the steps
    """

    layer: int
    head: int
    entropy: float
    moves: float

    @property
    def remark(self) -> str:
        """What is wrong with it; "" where nothing is."""
        if self.entropy >= FLAT:
            return "looks everywhere alike"
        return "looks at the same places at every step" if self.moves < STILL else ""


def head_probes(weights: Tensor) -> list[HeadProbe]:
    """Each head of each layer, from weights (layers, heads, S, T) of S steps over T places; none where S or T < 2."""
    if weights.shape[2] < 2 or weights.shape[3] < 2:
        return []
    w = weights.double()
    entropy = -torch.xlogy(w, w).sum(3).mean(2) / math.log(w.shape[3])
    moves = (w[:, :, 1:] - w[:, :, :-1]).abs().sum(3).mean(2) / 2
    return [
        HeadProbe(layer + 1, head + 1, float(entropy[layer, head]), float(moves[layer, head]))
        for layer in range(w.shape[0])
        for head in range(w.shape[1])
    ]


def head_table(weights: Tensor) -> tuple[Table, ...]:
    """The same as a table, with a remark where a head does nothing; none where there is too little to see."""
    rows = tuple((p.layer, p.head, f"{p.entropy:.2f}", f"{p.moves:.2f}", p.remark) for p in head_probes(weights))
    head = ("layer", "head", "entropy (0: one place, 1: all alike)", "moves from step to step", "")
    return (Table("Heads of attention", head, rows),) if rows else ()
