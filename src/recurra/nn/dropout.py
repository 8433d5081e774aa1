"""Dropout that stays the same over time, and zoneout: the masks of recurrent layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.engine import Zoneout, masked, span_attention

# Draws of 16 bits: probabilities are multiples of 1 / 65,536.
DRAWS = 2**16


def locked_mask(like: Tensor, shape: tuple[int, ...], p: float) -> Tensor:
    """A dropout mask, scaled so that the mean is kept: 0 with probability p, else 1 / (1 - p); zeros alone for p = 1.

    Source: Gal & Ghahramani 2016, arXiv:1512.05287, section 4: one mask a sequence, the same at every time step.
    """
    mask = like.new_empty(shape).bernoulli_(1 - p)
    return mask.div_(1 - p) if p < 1 else mask


def dropout(x: Tensor, p: float) -> Tensor:
    """Zeros with probability p, the rest scaled so that the mean is kept.

    The same draws as torch's, whose gradient is NaN where an infinite one meets a zero of the mask; here it is zero.
    """
    if p in (0, 1):
        return x if p == 0 else torch.where(torch.zeros_like(x, dtype=torch.bool), x, x.new_zeros(()))
    return masked(x, locked_mask(x, tuple(x.shape), p))


def quick_dropout(x: Tensor, p: float) -> Tensor:
    """Zeros with probability p, the rest scaled so that the mean is kept.

    Of float32 on the CPU the engine draws, p rounded to a multiple of 2^-31, and draws again for the gradient. Of other
    types, or without the engine, four numbers are drawn as the 64 bits of one, p rounded to a multiple of 1 / 65,536,
    in a third of the time of torch's dropout, of which nearly all is drawing. A gradient is zero where the number was,
    an infinite one too. On other devices, and where p rounds to 0 or 1, torch's dropout.
    """
    if 0 < round(p * span_attention.DRAWS) < span_attention.DRAWS and span_attention.can_drop(x):
        return span_attention.dropped_out(x, *span_attention.drawn(p))
    dropped = round(p * DRAWS)
    if x.device.type != "cpu" or not 0 < dropped < DRAWS:
        return F.dropout(x, p)
    size = x.numel()
    draws = torch.empty((size + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    kept = (draws[:size] >= dropped - DRAWS // 2).view(x.shape)
    made: Tensor = _Kept.apply(x, kept, DRAWS / (DRAWS - dropped))  # type: ignore[no-untyped-call]
    return made


class _Kept(torch.autograd.Function):
    """Some numbers, scaled, and zeros in the place of the others; the gradient is the same of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return torch.where(kept, x, x.new_zeros(())).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        made: Tensor = _Kept.apply(gradient, kept, ctx.scale)  # type: ignore[no-untyped-call]
        return made, None, None


class QuickDropout(nn.Dropout):
    """torch.nn.Dropout by `quick_dropout`."""

    def forward(self, input: Tensor) -> Tensor:  # as torch calls it
        return quick_dropout(input, self.p) if self.training and self.p else input


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
