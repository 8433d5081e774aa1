"""Connectionist temporal classification: how improbable a text is, over all ways to spread it over the frames.

This is the specification, in plain torch, for every type and device; `recurra.engine.ctc` does the same natively.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.errors import DataError, ShapeError

# ln 0, but finite: a sum over what cannot be still has a gradient.
NEVER = -1e30
# Rows that a message names.
NAMED = 10


def ctc_loss(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int = 0) -> Tensor:
    """-log p(target | logits) of each row, in nats: (N,); log-softmax over the units is inside.

    logits: (T, N, C), float32 or float64 (fewer bits are widened)      lengths: (N,) whole, frames of each row
    targets: (N, U) whole, units, anything beyond a row's length      target_lengths: (N,) whole, zeros allowed
    An empty target costs its blanks; without frames too it costs nothing. Frames behind a row's length are never read,
    and have a gradient of 0. A logit that is no number makes nats and gradient of its row alone NaN; one of minus
    infinity is a probability of 0, and a target that needs it costs inf, without a gradient.
    Raises DataError, naming them, for rows with fewer frames than their target needs (`frames_needed`), and for those
    with the blank in their target; ShapeError for other shapes, for lengths and for units out of range.
    Source: Graves et al. 2006, eq. 6 to 8 and 15.
    """
    check(logits, lengths, targets, target_lengths, blank=blank)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    lengths, targets, target_lengths = whole_numbers(logits.device, lengths, targets, target_lengths)
    labels, skips = _states(targets, target_lengths, blank)
    real = torch.arange(len(logits), device=logits.device).unsqueeze(1) < lengths
    y = torch.where(real.unsqueeze(2), logits, 0.0).log_softmax(2)
    said = y.gather(2, labels.expand(len(logits), *labels.shape)).clamp(min=NEVER)
    # Before the first frame a path is in the first blank.
    first = torch.arange(labels.shape[1], device=labels.device) == 0
    alpha = torch.where(first, 0.0, NEVER).to(logits.dtype).expand(labels.shape)
    for t in range(len(logits)):
        alpha = torch.where(real[t].unsqueeze(1), _step(alpha, said[t], skips), alpha)
    return _ended(alpha, target_lengths)


def whole_numbers(device: torch.device, *given: Tensor) -> tuple[Tensor, ...]:
    """Lengths and targets of any type of whole numbers, for arithmetic and as places."""
    return tuple(t.to(device, torch.int64) for t in given)


def _states(targets: Tensor, target_lengths: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """What each state (N, 2 U + 1) says: blanks around units; and where the blank before a unit may be left out."""
    N, U = targets.shape
    real = torch.arange(U, device=targets.device) < target_lengths.unsqueeze(1)
    labels = targets.new_full((N, 2 * U + 1), blank)
    labels[:, 1::2] = torch.where(real, targets, blank)
    skips = torch.zeros_like(labels, dtype=torch.bool)
    skips[:, 3::2] = targets[:, 1:] != targets[:, :-1]
    return labels, skips


def _step(alpha: Tensor, said: Tensor, skips: Tensor) -> Tensor:
    """Forward variables of the next frame, as logarithms (equations 6 and 7)."""
    one, two = F.pad(alpha, (1, 0), value=NEVER)[:, :-1], F.pad(alpha, (2, 0), value=NEVER)[:, :-2]
    return torch.stack([alpha, one, torch.where(skips, two, NEVER)]).logsumexp(0) + said


def _ended(alpha: Tensor, target_lengths: Tensor) -> Tensor:
    """Nats of paths that are in the last blank or in the last unit (equation 8)."""
    last = alpha.gather(1, 2 * target_lengths.unsqueeze(1))
    unit = alpha.gather(1, (2 * target_lengths - 1).clamp(min=0).unsqueeze(1))
    unit = torch.where(target_lengths.unsqueeze(1) > 0, unit, NEVER)
    nats = -torch.cat([last, unit], 1).logsumexp(1)
    return nats * torch.where(nats > -NEVER / 10, torch.inf, 1.0).to(nats.dtype)


def frames_needed(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """(N,) int64: units of each row, and a blank between any two neighbours that are equal."""
    real = torch.arange(targets.shape[1], device=targets.device) < target_lengths.unsqueeze(1)
    twins = (targets[:, 1:] == targets[:, :-1]) & real[:, 1:]
    return target_lengths + twins.sum(1)


def check(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int) -> None:
    """Raise what `ctc_loss` raises."""
    if logits.dim() != 3 or targets.dim() != 2 or not logits.is_floating_point():
        raise ShapeError(
            f"ctc_loss: expected logits (T, N, C) of a float type and targets (N, U), got {tuple(logits.shape)} of "
            f"{logits.dtype} and {tuple(targets.shape)}."
        )
    T, N, C = logits.shape
    check_lengths("ctc_loss", lengths, targets, target_lengths, T=T, N=N)
    lengths, targets, target_lengths = whole_numbers(torch.device("cpu"), lengths, targets, target_lengths)
    refuse_units("ctc_loss", targets, target_lengths, C, blank)
    short = frames_needed(targets, target_lengths) > lengths
    refuse_rows("ctc_loss", short, "have fewer frames than their target needs: leave them out, or subsample less")


def check_lengths(loss: str, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, T: int, N: int) -> None:
    """Raise ShapeError for other numbers of rows than N, and for lengths out of range."""
    if lengths.dim() != 1 or target_lengths.dim() != 1:
        raise ShapeError(
            f"{loss}: lengths have shape {tuple(lengths.shape)}, target lengths {tuple(target_lengths.shape)}, "
            f"expected ({N},): one of each row."
        )
    if not (len(targets) == len(lengths) == len(target_lengths) == N):
        raise ShapeError(
            f"{loss}: the frames have {N} rows, targets {len(targets)}, lengths {len(lengths)}, target "
            f"lengths {len(target_lengths)}: expected as many."
        )
    if any(
        t.is_floating_point() or t.is_complex() or t.dtype == torch.bool for t in (lengths, targets, target_lengths)
    ):
        raise ShapeError(f"{loss}: expected whole numbers as lengths, targets and target lengths.")
    for name, found, most in (("lengths", lengths, T), ("target lengths", target_lengths, targets.shape[1])):
        if N and not 0 <= int(found.min()) <= int(found.max()) <= most:
            raise ShapeError(f"{loss}: {name} from {int(found.min())} to {int(found.max())}, expected 0 to {most}.")


def refuse_units(loss: str, targets: Tensor, target_lengths: Tensor, C: int, blank: int) -> None:
    """Raise ShapeError for units outside 0 to C - 1, DataError for rows with the blank in their target."""
    if not 0 <= blank < C:
        raise ShapeError(f"{loss}: the blank is {blank}, expected 0 to {C - 1}.")
    real = torch.arange(targets.shape[1]) < target_lengths.unsqueeze(1)
    if (((targets < 0) | (targets >= C)) & real).any():
        found = targets[real]
        raise ShapeError(f"{loss}: units from {int(found.min())} to {int(found.max())}, expected 0 to {C - 1}.")
    refuse_rows(loss, ((targets == blank) & real).any(1), f"have the blank, {blank}, in their target: leave it out")


def refuse_rows(loss: str, rows: Tensor, reason: str) -> None:
    """Raise DataError that names the rows (N,) bool, if there are any."""
    bad = rows.nonzero()[:, 0].tolist()
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataError(f"{loss}: rows {', '.join(map(str, bad[:NAMED]))}{more} {reason}.")
