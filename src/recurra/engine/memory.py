"""Tensors as the native engine takes them: float32 that lies in order in the CPU's memory, at an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from recurra.base.errors import RunError

# What has an address of its own numbers, and nothing behind them: a subclass may be a shell around another tensor.
PLAIN = frozenset((Tensor, torch.nn.Parameter))
DENSE = torch.strided
# Shape, type, device.
Kind: TypeAlias = tuple[torch.Size, torch.dtype, torch.device]


def in_order(tensor: Tensor) -> Tensor:
    """The same numbers as they lie in memory: contiguous, and none that torch only negates when it reads them."""
    # Asked first, since that takes half the time, and nearly all are.
    if tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    return tensor.resolve_neg().contiguous()


def address(tensor: Tensor | None) -> int:
    """Where a tensor's numbers are, for a native call; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()


def kinds(tensors: Sequence[Tensor | None]) -> list[Kind | None]:
    """Of each tensor, for `restored`."""
    return [None if t is None else (t.shape, t.dtype, t.device) for t in tensors]


def restored(saved: Sequence[Tensor | None], kinds: Sequence[Kind | None]) -> list[Any]:
    """What autograd gives back of tensors that were saved, None where that was; it need not be what was saved.

    Hooks (`torch.autograd.graph.saved_tensors_hooks`) give tensors of their own. Other strides are put in order.
    Raises RunError for another shape, type or device, where a native call would read past the end.
    """
    found: list[Any] = []
    for t, kind in zip(saved, kinds, strict=True):
        if t is None or kind is None:
            found.append(None)
        # Nearly always; asked in place, as this is a twentieth of a short call. Types and layouts are one object each.
        elif (
            t.shape == kind[0]
            and t.dtype is kind[1]
            and t.is_cpu
            and type(t) in PLAIN
            and t.layout is DENSE
            and t.is_contiguous()
            and not t.is_neg()
        ):
            found.append(t)
        else:
            found.append(_restored(t, kind))
    return found


def _restored(tensor: Tensor, kind: Kind) -> Tensor:
    if (tensor.shape, tensor.dtype, tensor.device) != kind or type(tensor) not in PLAIN or tensor.layout != DENSE:
        raise RunError(
            f"a saved tensor came back as {type(tensor).__name__} {tuple(tensor.shape)} of {tensor.dtype} on "
            f"{tensor.device}, expected {tuple(kind[0])} of {kind[1]} on {kind[2]}: what "
            "torch.autograd.graph.saved_tensors_hooks unpacks must have the shape, type and device of what it packed."
        )
    return in_order(tensor)
