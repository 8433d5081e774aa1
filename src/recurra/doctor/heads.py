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
    """Each head of each layer, from weights (layers, heads, S, T) of S steps over T places; none where S or T < 2.

    What steps can see is read off the weights: where nothing ahead has any, and how far back a layer has some.
    """
    if weights.shape[2] < 2 or weights.shape[3] < 2:
        return []
    w = weights.double()
    causal = w.shape[2] == w.shape[3] and not bool(w.triu(1).any())
    # Of the one place that a causal head sees at first there is nothing to say.
    first = 1 if causal else 0
    entropy = torch.xlogy(w, w).sum(3)[:, :, first:].abs()
    limits = _places(w)[:, 1:].log() if causal else torch.full_like(entropy[:, 0], math.log(w.shape[3]))
    # Of a head that sees one place alone both are zero.
    shares = (entropy / limits.clamp(min=torch.finfo(w.dtype).tiny).unsqueeze(1)).mean(2)
    moves = (w[:, :, 1:] - w[:, :, :-1]).abs().sum(3).mean(2) / 2
    return [
        HeadProbe(layer + 1, head + 1, float(shares[layer, head]), float(moves[layer, head]))
        for layer in range(w.shape[0])
        for head in range(w.shape[1])
    ]


def _places(weights: Tensor) -> Tensor:
    """(layers, T): places that each step of causal heads sees, in a window as wide as the layer's heads look back."""
    at = torch.arange(weights.shape[3], device=weights.device)
    back = at.unsqueeze(1) - at
    windows = [int(back[seen].max()) + 1 if seen.any() else 1 for seen in (weights != 0).any(1)]
    return torch.stack([(at + 1).clamp(max=window) for window in windows]).to(weights.dtype)


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
