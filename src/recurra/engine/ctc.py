"""Connectionist temporal classification in native code: float32 on the CPU; elsewhere `recurra.losses.ctc`.

The loss and its gradient are made in one call, the softmax inside: forward and backward variables of Graves et al. 2006
with an exponent of their own for each state (native/dense/scaled.h), so that float32 is right for any number of frames.
A logit that is further below its frame's largest than 2.5 million, or than 1.8e8 / T, counts as that far below, unless
it is minus infinity. Beside the gradient, memory grows with sqrt(T) U. A row has the same bits alone and among others,
for any number of threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.engine.call import batched, recording, transformed
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.losses import ctc


def ctc_loss(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int = 0) -> Tensor:
    """`recurra.losses.ctc.ctc_loss`, which says what it takes, gives and raises; natively where that can be."""
    if not _can_run(logits, lengths, targets, target_lengths):
        return ctc.ctc_loss(logits, lengths, targets, target_lengths, blank=blank)
    ctc.check(logits, lengths, targets, target_lengths, blank=blank)
    # Copies, since the backward pass may read them again: the caller may have changed them by then.
    rows = tuple(t.to(torch.int64, copy=True).contiguous() for t in (lengths, targets, target_lengths))
    logits = in_order(logits)
    if torch.is_grad_enabled() and logits.requires_grad:
        nats: Tensor = _Ctc.apply(logits, *rows, blank)  # type: ignore[no-untyped-call]
        return nats
    return _run(logits, rows, blank, wanted=False)[0]


def _can_run(*tensors: Tensor) -> bool:
    logits = tensors[0]
    if recording() or any(type(t) not in PLAIN or not t.is_cpu for t in tensors) or logits.dtype is not torch.float32:
        return False
    return cpu.available() and not transformed(tensors)


def _run(logits: Tensor, rows: tuple[Tensor, ...], blank: int, *, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """Nats of each row, and the gradient of each."""
    T, N, C = logits.shape
    nats, gradient = logits.new_empty(N), torch.empty_like(logits) if wanted else None
    sizes = [T, N, C, rows[1].shape[1], blank, torch.get_num_threads()]
    cpu._native.ctc_loss(cpu.instruction_set(), sizes, [address(t) for t in (logits, *rows, nats, gradient)])
    return nats, gradient


REFUSAL = "ctc_loss has no second derivatives in float32 on the CPU; use float64."
NO_BATCHES = "ctc_loss has no gradients in batches (vmap, is_grads_batched) in float32 on the CPU; use float64."


class _Ctc(torch.autograd.Function):
    """The gradient is made together with the nats, and scaled in place by the first backward pass."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, blank: int
    ) -> Tensor:
        rows = (lengths, targets, target_lengths)
        nats, ctx.made = _run(logits, rows, blank, wanted=True)
        ctx.save_for_backward(logits, *rows)
        ctx.kinds, ctx.blank = kinds((logits, *rows)), blank
        return nats

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        if batched([d]):
            raise RunError(NO_BATCHES)
        logits, *rows = restored(ctx.saved_tensors, ctx.kinds)
        # Given away once; whoever goes backward a second time has it made anew.
        made, ctx.made = ctx.made, None
        with torch.no_grad():
            if made is None:
                made = _run(logits, tuple(rows), ctx.blank, wanted=True)[1]
            made = made.mul_(d.unsqueeze(1))
        return (*refuse_double_backward((made,), (logits, d), REFUSAL), None, None, None, None)
