"""Dropout that stays the same over time, and zoneout: the masks of recurrent layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recurra.engine import Zoneout, masked


def locked_mask(like: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """A dropout mask, scaled so that the mean is kept: 0 with probability p, else 1 / (1 - p).

    Source: Gal & Ghahramani 2016, arXiv:1512.05287, section 4: one mask a sequence, the same at every time step.
    """
    return like.new_empty(shape).bernoulli_(1 - p).div_(1 - p)


def dropout(x: Tensor, p: float) -> Tensor:
    """Zeros with probability p, the rest scaled so that the mean is kept.

    The same draws as torch's, whose gradient is NaN where an infinite one meets a zero of the mask; here it is zero.
    """
    if p in (0, 1):
        return x if p == 0 else torch.where(torch.zeros_like(x, dtype=torch.bool), x, x.new_zeros(()))
    return masked(x, locked_mask(x, tuple(x.shape), p))


def zoneout_mask(like: Tensor, shape: tuple[int, ...], p: float, *, training: bool) -> Zoneout:
    """Where a state keeps its old value: a mask of (T, N, width) in training, the probability itself otherwise.

    Source: Krueger et al. 2017, arXiv:1606.01305, eq. 2-4.
    """
    if p == 0:
        return None
    # float32 whatever torch's default type is: numbers of bfloat16 would be multiples of 1/256.
    return torch.rand(shape, dtype=torch.float32, device=like.device) < p if training else p


class LockedDropout(nn.Module):
    """Dropout with one mask a row for all steps of x (T, N, D), in training.

    Source: Gal & Ghahramani 2016, arXiv:1512.05287; Merity et al. 2017, arXiv:1708.02182, section 4.2.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return masked(x, locked_mask(x, (1, *x.shape[1:]), self.p)) if self.p and self.training else x


def without_words(x: Tensor, tokens: Tensor, num_tokens: int, p: float) -> Tensor:
    """Vectors x (T, N, E) of tokens (T, N), those of some words zero in all places; see `word_mask`."""
    return masked(x, word_mask(x, num_tokens, p)[tokens].unsqueeze(2))


def word_mask(like: Tensor, num_tokens: int, p: float) -> Tensor:
    """(V,): 0 with probability p, else 1 / (1 - p), to scale tokens' vectors: a word goes in all places at once.

    Source: Gal & Ghahramani 2016, arXiv:1512.05287, section 4.2; Merity et al. 2017, arXiv:1708.02182, section 4.3.
    """
    return locked_mask(like, (num_tokens,), p)
