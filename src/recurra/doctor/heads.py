"""Heads of attention in numbers: how widely each looks, and whether it looks elsewhere at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """entropy: of the weights, 0..1 of log of the number of places that can be seen, mean over the steps

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
    # A causal head sees as many places as there are steps up to its own; of one place there is nothing to say.
    causal = w.shape[2] == w.shape[3] and not bool(w.triu(1).any())
    first, seen = 1 if causal else 0, torch.arange(1, w.shape[3] + 1).double()
    limits = seen[1:].log() if causal else torch.full((w.shape[2],), math.log(w.shape[3]), dtype=torch.float64)
    entropy = (-torch.xlogy(w, w).sum(3)[:, :, first:] / limits.to(w.device)).mean(2)
    moves = (w[:, :, 1:] - w[:, :, :-1]).abs().sum(3).mean(2) / 2
    return [
        HeadProbe(layer + 1, head + 1, float(entropy[layer, head]), float(moves[layer, head]))
        for layer in range(w.shape[0])
        for head in range(w.shape[1])
    ]


def mean_probes(each: Sequence[Tensor]) -> list[HeadProbe]:
    """The heads of one layer, from weights (heads, S, T) of several sequences: the mean over those that say something.

    A head is said to be flat, or still, if it is so on the whole.
    """
    found = [probes for weights in each if (probes := head_probes(weights.unsqueeze(0)))]
    number = len(found)
    return [
        HeadProbe(1, k + 1, sum(one[k].entropy for one in found) / number, sum(one[k].moves for one in found) / number)
        for k in range(len(found[0]) if found else 0)
    ]


def head_table(weights: Tensor) -> tuple[Table, ...]:
    """The same as a table, with a remark where a head does nothing; none where there is too little to see."""
    rows = tuple((p.layer, p.head, f"{p.entropy:.2f}", f"{p.moves:.2f}", p.remark) for p in head_probes(weights))
    head = ("layer", "head", "entropy (0: one place, 1: all alike)", "moves from step to step", "")
    return (Table("Heads of attention", head, rows),) if rows else ()
