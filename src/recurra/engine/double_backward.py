"""Gradients that cannot be differentiated again: a second derivative is refused, not wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from recurra.base.errors import RunError


def refuse_double_backward(
    gradients: Iterable[Tensor | None], inputs: Sequence[Tensor], refusal: str
) -> tuple[Tensor | None, ...]:
    """The gradients that a native backward pass made, fit to be returned from it.

    Under create_graph=True they depend on all `inputs`, in a way that the engine does not know; whoever differentiates
    them raises RunError with `refusal`.
    """
    if not torch.is_grad_enabled():
        return tuple(gradients)
    return tuple(d if d is None else _RefuseDoubleBackward.apply(refusal, d, *inputs) for d in gradients)  # type: ignore[no-untyped-call]


class _RefuseDoubleBackward(torch.autograd.Function):
    """A gradient, and who is told when it is differentiated."""

    @staticmethod
    def forward(ctx: Any, refusal: str, gradient: Tensor, *inputs: Tensor) -> Tensor:
        ctx.refusal = refusal
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> NoReturn:
        raise RunError(ctx.refusal)
