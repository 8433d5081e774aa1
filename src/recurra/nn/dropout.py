"""Dropout that stays the same over time, and zoneout: the masks of recurrent layers."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.engine import Zoneout


def locked_mask(like: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """A dropout mask, scaled so that the mean is kept: 0 with probability p, else 1 / (1 - p).

    Source: Gal & Ghahramani 2016, arXiv:1512.05287, section 4: one mask a sequence, the same at every time step.
    """
    return like.new_empty(shape).bernoulli_(1 - p).div_(1 - p)


def zoneout_mask(like: Tensor, shape: tuple[int, ...], p: float, *, training: bool) -> Zoneout:
    """Where a state keeps its old value: a mask of (T, N, width) in training, the probability itself otherwise.

    Source: Krueger et al. 2017, arXiv:1606.01305, eq. 2-4.
    """
    if p == 0:
        return None
    return torch.rand(shape, device=like.device) < p if training else p
