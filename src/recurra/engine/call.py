"""What a layer asks of an executor, and what it gets: one layer, one direction, all time steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.cells import Cell
from recurra.engine.weights import Weights

# Of one state: (T, N, width) bool, True where the old value stays; or the probability of that, in evaluation; or None.
Zoneout: TypeAlias = Tensor | float | None


# Of which a list of Python is made sooner than a tensor.
FEW_ROWS = 8


def sequence_mask(lengths: Tensor, T: int) -> Tensor:
    """(T, N) bool, True where a step is real, from lengths (N,)."""
    return torch.arange(T, device=lengths.device).unsqueeze(1) < lengths


def nothing_padded(lengths: Tensor, T: int) -> bool:
    """Whether every row of (T, N) is known to have all steps; a device is not waited for to know it.

    Of rows that are one vector it is always so, and masks of numbers cost as much as a third of their products.
    """
    if type(lengths) is not Tensor or not lengths.is_cpu or recording() or transformed((lengths,)):
        return False
    if lengths.numel() <= FEW_ROWS:
        return lengths.tolist() == [T] * len(lengths)
    return bool((lengths == T).all())


def without_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T, N, I) with zeros where it is padding: 0 * NaN is NaN, so a product's gradient must not even see it."""
    if lengths is None or nothing_padded(lengths, len(x)):
        return x
    return torch.where(sequence_mask(lengths, len(x)).unsqueeze(2), x, x.new_zeros(()))


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """x times a mask of dropout; 0 where that is 0, since 0 times infinity is NaN, in a gradient too.

    A mask that asks for a gradient gets it by the product.
    """
    if mask.requires_grad:
        return x * mask
    return torch.where(mask != 0, x, x.new_zeros(())) * mask


def reverse_sequences(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (T, N) or (T, N, I), each sequence turned round within its length; padding stays where it is."""
    if lengths is None:
        return x.flip(0)
    step = torch.arange(len(x), device=x.device).unsqueeze(1)
    source = torch.where(step < lengths, lengths - 1 - step, step)
    return x.gather(0, source if x.dim() == 2 else source.unsqueeze(2).expand_as(x))


def recording() -> bool:
    """Whether calls are recorded now rather than run."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def transformed(tensors: Sequence[Tensor]) -> bool:
    """Whether one of them is more than its numbers: inside torch.func.vmap, grad or jvp, or with a tangent."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    if forward_ad._current_level < 0:
        return False
    return any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)  # type: ignore[no-untyped-call]


def batched(gradients: Sequence[Tensor | None]) -> bool:
    """Whether a backward pass is asked for a batch of gradients: by torch.func.vmap, or by is_grads_batched."""
    given = [d for d in gradients if d is not None]
    return transformed(given) or any(map(torch._C._functorch.is_legacy_batchedtensor, given))


@dataclass(frozen=True, slots=True)
class Call:
    """The work of one layer in one direction.

    x:        (T, N, I)
    states:   one (N, width) tensor per state of the cell, in its order
    weights:  the packed parameters
    lengths:  (N,) int64 on x's device, 0 <= length <= T; None if all are T
    reverse:  read time from the last real step to the first
    zoneout:  one entry per state; () for none
    recurrent_mask: (N, width of the recurrent products' argument), multiplied into it at every step; None for none
    """

    x: Tensor
    states: tuple[Tensor, ...]
    weights: Weights
    lengths: Tensor | None = None
    reverse: bool = False
    zoneout: tuple[Zoneout, ...] = ()
    recurrent_mask: Tensor | None = None

    @property
    def cell(self) -> Cell:
        return self.weights.cell

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What has gradients: x, states, parameters; parameters of fewer bits have none, and come with their scales."""
        return self.x, *self.states, *self.weights.tensors


@dataclass(frozen=True, slots=True)
class Result:
    """output: (T, N, width of the first state), zero on padded steps. states: after each sequence's last real step."""

    output: Tensor
    states: tuple[Tensor, ...]
