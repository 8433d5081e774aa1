"""What a layer makes again in the backward pass and does not keep until then: its units and its normed rows.

Of each of its rows a pre-norm layer keeps 10 d numbers so, and would keep 16 d; what is made again has its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from recurra.engine.span_attention import DRAWS, can_drop, drawn, drop_here, dropped_out
from recurra.nn.dropout import quick_dropout
from recurra.nn.transformer.hooks import is_hooked

Function = Callable[[Tensor], Tensor]


def dropped_units(x: Tensor, function: Function, p: float) -> tuple[Tensor, AbstractContextManager[object]]:
    """f(x) with dropout, and a context in which what reads them keeps how they were made in their place.

    The numbers of f and `quick_dropout`. Where the engine does not draw, or nothing asks for a gradient, all is kept.
    function: ReLU, which keeps what it says for its gradient, or another that keeps what it is given
    """
    made, often = function(x), round(p * DRAWS)
    if not (made.requires_grad and often < DRAWS and can_drop(x) and can_drop(made) and made.is_contiguous()):
        return (quick_dropout(made, p) if p else made), nullcontext()
    if function is F.relu:
        if not often:
            return made, nullcontext()
        kept, how = made.detach(), drawn(p)
        units = dropped_out(made, *how)
        return units, _made_again(units, lambda: dropped_out(kept, *how), (kept,))
    given = x.detach()
    if not often:
        return made, _made_again(made, lambda: function(given), (given,))
    how = drawn(p)
    units = drop_here(made, *how)
    return units, _made_again(units, lambda: drop_here(function(given), *how), (given,))


def normed(norm: nn.Module, x: Tensor) -> tuple[Tensor, AbstractContextManager[object]]:
    """The normed rows, and a context as `dropped_units` has it; of another norm, or one with hooks, all is kept."""
    made: Tensor = norm(x)
    plain = type(norm) is nn.LayerNorm and not is_hooked(norm)
    if not (plain and made.requires_grad and can_drop(x) and can_drop(made)):
        return made, nullcontext()
    assert isinstance(norm, nn.LayerNorm)
    shape, eps, numbers = norm.normalized_shape, norm.eps, (norm.weight, norm.bias)
    given = x.detach()
    read = (given, *(t for t in numbers if t is not None))
    return made, _made_again(made, lambda: F.layer_norm(given, shape, *numbers, eps), read)


def _made_again(made: Tensor, again: Callable[[], Tensor], read: Sequence[Tensor]) -> AbstractContextManager[object]:
    """A context in which `made` is not kept. read: what it is made of again, which has to be as it was"""
    # The tensor itself would stay with the context.
    where, shape, version = made.data_ptr(), made.shape, made._version
    sources = [_at_version(t) for t in read]

    def pack(saved: Tensor) -> tuple[Tensor, int] | None:
        same = saved.data_ptr() == where and saved.shape == shape and saved.is_contiguous()
        # Without its history: a function that keeps a result of its own so would keep itself for ever.
        return None if same and saved._version == version else _at_version(saved.detach())

    def unpack(packed: tuple[Tensor, int] | None) -> Tensor:
        if packed is not None:
            return _unchanged(*packed)
        for source in sources:
            _unchanged(*source)
        with torch.no_grad():
            return again()

    return saved_tensors_hooks(pack, unpack)


def _at_version(tensor: Tensor) -> tuple[Tensor, int]:
    return tensor, tensor._version


def _unchanged(tensor: Tensor, version: int) -> Tensor:
    if tensor._version != version:  # torch looks only where nothing is packed
        raise RuntimeError(
            f"a tensor {tuple(tensor.shape)} that the gradient of a Transformer's layer needs was changed in place; "
            f"it is at version {tensor._version}, expected {version}. Ask for the gradient before the change, or "
            "change a clone()."
        )
    return tensor
