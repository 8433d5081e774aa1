"""Connectionist temporal classification: how improbable a text is, over all ways to spread it over the frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.errors import ShapeError


def ctc_loss(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int = 0) -> Tensor:
    """-log p(target | logits) of each row, in nats: (N,); log-softmax over the units is inside.

    logits: (T, N, C), float32 or float64      lengths: (N,) int64, frames of each row
    targets: (N, U) int64, units, anything beyond a row's length      target_lengths: (N,) int64, zeros allowed
    A row with fewer frames than its text needs (`frames_needed`) is inf, and its gradient is no number: find such rows
    first. Raises ShapeError for other shapes, for lengths out of range and for units out of range.
    Source: Graves et al. 2006, eq. 6 to 8 and 15.
    """
    _check(logits, lengths, targets, target_lengths, blank)
    return F.ctc_loss(
        logits.log_softmax(2), targets, lengths.cpu(), target_lengths.cpu(), blank=blank, reduction="none"
    )


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """(N,) int64: units of each row, and a blank between any two neighbours that are equal."""
    real = torch.arange(targets.shape[1], device=targets.device) < target_lengths.unsqueeze(1)
    twins = (targets[:, 1:] == targets[:, :-1]) & real[:, 1:]
    return target_lengths + twins.sum(1)


def _check(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, blank: int) -> None:
    if logits.dim() != 3 or targets.dim() != 2:
        raise ShapeError(f"ctc_loss: expected logits (T, N, C) and targets (N, U), got {tuple(logits.shape)} and "
                         f"{tuple(targets.shape)}.")  # fmt: skip
    T, N, C = logits.shape
    U = targets.shape[1]
    if not (len(targets) == len(lengths) == len(target_lengths) == N):
        raise ShapeError(f"ctc_loss: logits have {N} rows, targets {len(targets)}, lengths {len(lengths)}, target "
                         f"lengths {len(target_lengths)}: expected as many.")  # fmt: skip
    for name, found, most in (("lengths", lengths, T), ("target lengths", target_lengths, U)):
        if N and not 0 <= int(found.min()) <= int(found.max()) <= most:
            raise ShapeError(f"ctc_loss: {name} from {int(found.min())} to {int(found.max())}, expected 0 to {most}.")
    real = targets[torch.arange(U, device=targets.device) < target_lengths.unsqueeze(1)]
    if ((real < 0) | (real >= C) | (real == blank)).any():
        raise ShapeError(f"ctc_loss: a target is outside 0 to {C - 1}, or the blank, {blank}.")
