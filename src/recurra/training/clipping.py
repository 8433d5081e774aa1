"""Keep one exploding gradient from undoing the training so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch.nn import Parameter
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from recurra.base.option import Opt
from recurra.training.bounds import bounded

# clip(parameters, norm): changes the gradients in place; `norm` is their norm before.
Clipping = Callable[[Sequence[Parameter], torch.Tensor], None]


def gradient_norm(parameters: Sequence[Parameter]) -> torch.Tensor:
    """Euclidean norm of all gradients as one vector; a scalar tensor, not finite if any gradient is not.

    torch sums one tensor on one thread, in an order of its own: the bits do not depend on the number of threads.
    """
    return get_total_norm([p.grad for p in parameters if p.grad is not None])


@bounded
def no_clipping() -> Clipping:
    """Leave the gradients as they are."""
    return lambda parameters, norm: None


@bounded
def clip_norm(
    *, max_norm: Annotated[float, Opt("largest Euclidean norm of all gradients together", gt=0)] = 1.0
) -> Clipping:
    """Scale all gradients by max_norm / norm when their norm is larger; the direction stays.

    Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """

    def clip(parameters: Sequence[Parameter], norm: torch.Tensor) -> None:
        if norm > max_norm:
            clip_grads_with_norm_(parameters, max_norm, norm)

    return clip


@bounded
def clip_value(
    *, max_value: Annotated[float, Opt("largest absolute value of one gradient entry", gt=0)] = 1.0
) -> Clipping:
    """Cut each gradient entry to [-max_value, max_value]; the direction may change.

    Source: Graves 2013, arXiv:1308.0850, section 2.1.
    """
    return lambda parameters, norm: clip_grad_value_(parameters, max_value)
