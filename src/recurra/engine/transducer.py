"""The loss of a transducer in native code: float32 on the CPU; elsewhere `recurra.losses.transducer`.

Nats and all gradients are made in one call, frame by frame, with the joint network inside: the (T, N, U + 1, V) logits
are never in memory, only those of a frame of one row. A row has the same bits alone and among others, and the gradients
of the weights the same for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.engine.call import batched, recording, transformed
from recurra.engine.double_backward import refuse_double_backward
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.losses import transducer
from recurra.losses.transducer import Rows


def transducer_loss(asked: Rows) -> Tensor:
    """`recurra.losses.transducer.transducer_loss`, which says all of it; natively where that can be."""
    floats: tuple[Tensor | None, ...] = (asked.left, asked.right, asked.weight, asked.bias)
    rows: tuple[Tensor, ...] = (asked.lengths, asked.targets, asked.target_lengths)
    if not _can_run(floats, rows):
        return transducer.transducer_loss(asked)
    transducer.check(asked)
    floats = tuple(t if t is None else in_order(t) for t in floats)
    # Copies, since the backward pass may read them again: the caller may have changed them by then.
    rows = tuple(t.to(torch.int64, copy=True).contiguous() for t in rows)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in floats):
        nats: Tensor = _Transducer.apply(*floats, *rows, asked.blank, asked.fast_emit)  # type: ignore[no-untyped-call]
        return nats
    return _Work(floats, rows, asked.blank, asked.fast_emit).run(wanted=False)[0]


def _can_run(floats: tuple[Tensor | None, ...], rows: tuple[Tensor, ...]) -> bool:
    given = [t for t in floats if t is not None]
    if recording() or not all(type(t) in PLAIN and t.is_cpu for t in (*given, *rows)):
        return False
    # What has no numbers has no address, and to native code that is what is not there.
    if not all(t.numel() for t in given):
        return False
    return all(t.dtype is torch.float32 for t in given) and cpu.available() and not transformed(given)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a native call reads. floats: left, right, W, b      rows: lengths, targets and their lengths"""

    floats: tuple[Tensor | None, ...]
    rows: tuple[Tensor, ...]
    blank: int
    fast_emit: float

    def run(self, *, wanted: bool, row_weights: Tensor | None = None) -> tuple[Tensor, list[Tensor | None]]:
        """Nats of each row, and the gradients of their sum, rows weighed by `row_weights`."""
        left, _, weight, _ = self.floats
        assert left is not None
        T, N, D = left.shape
        nats = left.new_empty(N)
        made = [None if t is None or not wanted else torch.empty_like(t) for t in self.floats]
        V, U = D if weight is None else len(weight), self.rows[1].shape[1]
        cpu._native.transducer_loss(
            cpu.instruction_set(),
            [T, N, D, V, U, self.blank, torch.get_num_threads()],
            [address(t) for t in (*self.floats, *self.rows, row_weights, nats, *made)],
            self.fast_emit,
        )
        return nats, made


REFUSAL = "transducer_loss has no second derivatives in float32 on the CPU; use float64."
NO_BATCHES = "transducer_loss has no gradients in batches (vmap, is_grads_batched) in float32 on the CPU; use float64."


class _Transducer(torch.autograd.Function):
    """Gradients are made together with the nats, as if rows had equal weight: a sum or a mean only scales them.

    If the rows turn out to have different weights, they are made again.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        floats, rows, ctx.how = arguments[:4], arguments[4:7], arguments[7:]
        nats, ctx.made = _Work(floats, rows, *ctx.how).run(wanted=True)
        ctx.save_for_backward(*floats, *rows)
        ctx.kinds = kinds((*floats, *rows))
        return nats

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        if batched([d]):
            raise RunError(NO_BATCHES)
        saved = restored(ctx.saved_tensors, ctx.kinds)
        floats, rows = saved[:4], saved[4:]
        made, ctx.made = ctx.made, None  # given away once, and scaled in place
        with torch.no_grad():
            work = _Work(tuple(floats), tuple(rows), *ctx.how)
            if not bool((d == d[:1]).all()):
                made = work.run(wanted=True, row_weights=in_order(d))[1]
            elif len(d):
                made = work.run(wanted=True)[1] if made is None else made
                made = [t if t is None else t.mul_(d[0]) for t in made]
            made = made or [None if t is None else torch.zeros_like(t) for t in floats]
        return (*refuse_double_backward(made, [*(t for t in floats if t is not None), d], REFUSAL), *(None,) * 5)
