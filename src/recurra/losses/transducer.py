"""The loss of a transducer: how improbable a text is, over all ways to say its units between frames.

This is the specification, in plain torch, for every type and device; `recurra.engine.transducer` is the same natively.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.errors import ShapeError
from recurra.losses.ctc import NEVER, check_lengths, refuse_rows, refuse_units, whole_numbers


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of frames and their targets. Logits are left_t + right_u, or W tanh(left_t + right_u) + b.

    left: (T, N, D) of the frames      right: (U + 1, N, D) of the units so far, none first
    weight: (V, D), bias: (V,) or None; without a weight D is V      all of float32 or float64 (fewer bits are widened)
    lengths: (N,) whole, frames of each row, at least 1
    targets: (N, U) whole, units, anything beyond a row's length      target_lengths: (N,) whole, zeros allowed
    fast_emit: gradients of what says a unit are 1 + this times as large, so that units come early; the nats, which are
    those of 0, do not show it (Yu et al. 2021, arXiv:2010.11148, equation 12).
    """

    left: Tensor
    right: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    _: KW_ONLY
    weight: Tensor | None = None
    bias: Tensor | None = None
    blank: int = 0
    fast_emit: float = 0.0


def transducer_loss(rows: Rows) -> Tensor:
    """-ln p(target | frames) of each row, in nats: (N,).

    Behind a row's lengths nothing is read, and gradients are 0. What is no number makes its row's nats and gradients
    NaN, and the gradients of W and b.
    Raises DataError, naming them, for rows without a frame and for those with the blank in their target; ShapeError for
    other shapes, for lengths and for units out of range.
    Source: Graves 2012, arXiv:1211.3711, equations 16 to 20.
    """
    check(rows)
    device, blank = rows.left.device, rows.blank
    lengths, targets, target_lengths = whole_numbers(device, rows.lengths, rows.targets, rows.target_lengths)
    left, right, weight, bias = _widened(rows.left, rows.right, rows.weight, rows.bias)
    frames, said = _real(left, lengths), _real(right, target_lengths + 1)
    logits = frames.unsqueeze(1) + said.unsqueeze(0)  # (T, U + 1, N, V)
    if weight is not None:
        logits = F.linear(torch.tanh(logits), weight, bias)
    y = logits.log_softmax(3).clamp(min=NEVER)
    units = torch.where(torch.arange(targets.shape[1], device=device) < target_lengths.unsqueeze(1), targets, blank)
    units = y[:, :-1].gather(3, units.T[None, ..., None].expand(len(left), -1, -1, 1))[..., 0]
    if rows.fast_emit:
        units = units + rows.fast_emit * (units - units.detach())
    return _nats(y[..., blank], units, lengths, target_lengths)


def _widened(
    left: Tensor, right: Tensor, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """As float32, or as float64 where one is: a sum over a long row wants all bits."""
    kind = (
        torch.float64
        if any(t is not None and t.dtype is torch.float64 for t in (left, right, weight, bias))
        else torch.float32
    )
    return (
        left.to(kind),
        right.to(kind),
        None if weight is None else weight.to(kind),
        None if bias is None else bias.to(kind),
    )


def _real(x: Tensor, lengths: Tensor) -> Tensor:
    """With zeros behind a row's length."""
    real = torch.arange(len(x), device=x.device).unsqueeze(1) < lengths
    return torch.where(real.unsqueeze(2), x, 0.0)


def _nats(blanks: Tensor, units: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
    """blanks: (T, U + 1, N) ln p      units: (T, U, N). Of a frame, sums over u are cumulative: exact to rounding."""
    if not len(blanks):
        return blanks.sum((0, 1))  # without frames there are no rows either
    rows = torch.arange(blanks.shape[2], device=blanks.device)
    ways = F.pad(units.cumsum(1), (0, 0, 1, 0))
    alpha, found = ways[0], []
    for t in range(len(blanks)):
        if t:
            alpha = (alpha + blanks[t - 1] - ways[t]).logcumsumexp(0) + ways[t]
        found.append((alpha + blanks[t])[target_lengths, rows])
    nats = -torch.stack(found)[lengths - 1, rows]
    return nats * torch.where(nats > -NEVER / 10, torch.inf, 1.0).to(nats.dtype)


def check(rows: Rows) -> None:
    """Raise what `transducer_loss` raises."""
    left, right, targets, weight, bias = rows.left, rows.right, rows.targets, rows.weight, rows.bias
    lengths, target_lengths, blank, fast_emit = rows.lengths, rows.target_lengths, rows.blank, rows.fast_emit
    if left.dim() != 3 or right.dim() != 3 or targets.dim() != 2 or left.shape[1:] != right.shape[1:]:
        raise ShapeError(
            f"transducer_loss: expected left (T, N, D), right (U + 1, N, D) and targets (N, U), got "
            f"{tuple(left.shape)}, {tuple(right.shape)} and {tuple(targets.shape)}."
        )
    given = [t for t in (left, right, weight, bias) if t is not None]
    if not all(t.is_floating_point() for t in given):
        raise ShapeError(f"transducer_loss: expected float types, got {', '.join(str(t.dtype) for t in given)}.")
    (T, N, D), U = left.shape, targets.shape[1]
    V = D if weight is None else len(weight)
    if weight is None and bias is not None:
        raise ShapeError("transducer_loss: bias has no effect without a weight; leave it out.")
    for name, tensor, shape in (("weight", weight, (V, D)), ("bias", bias, (V,)), ("right", right, (U + 1, N, D))):
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ShapeError(f"transducer_loss: {name} has shape {tuple(tensor.shape)}, expected {shape}.")
    if not 0 <= fast_emit < float("inf"):
        raise ShapeError(f"transducer_loss: fast_emit is {fast_emit}, expected a number from 0 on.")
    check_lengths("transducer_loss", lengths, targets, target_lengths, T=T, N=N)
    refuse_units("transducer_loss", targets.cpu(), target_lengths.cpu(), V, blank)
    refuse_rows("transducer_loss", lengths.cpu() == 0, "have no frames: leave them out")
