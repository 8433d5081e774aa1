"""What a layer makes again in the backward pass and does not keep until then: its units and its normed rows.

Of each of its rows a pre-norm layer keeps 10 d numbers so, and would keep 16 d; what is made again has its bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from recurra.engine.span_attention import DRAWS, can_drop, drawn, drop_here, dropped_out
from recurra.nn.dropout import quick_dropout

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
        return units, _made_again(units, lambda: dropped_out(kept, *how))
    given = x.detach()
    if not often:
        return made, _made_again(made, lambda: function(given))
    how = drawn(p)
    units = drop_here(made, *how)
    return units, _made_again(units, lambda: drop_here(function(given), *how))


def normed(norm: nn.Module, x: Tensor) -> tuple[Tensor, AbstractContextManager[object]]:
    """The normed rows, and a context as `dropped_units` has it."""
    made: Tensor = norm(x)
    if type(norm) is not nn.LayerNorm or not (made.requires_grad and can_drop(x) and can_drop(made)):
        return made, nullcontext()
    given, shape, weight, bias, eps = x.detach(), norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return made, _made_again(made, lambda: F.layer_norm(given, shape, weight, bias, eps))


def _made_again(made: Tensor, again: Callable[[], Tensor]) -> AbstractContextManager[object]:
    where, shape = made.data_ptr(), made.shape  # the tensor itself would stay with the context

    def pack(saved: Tensor) -> tuple[Tensor, int] | None:
        same = saved.data_ptr() == where and saved.shape == shape and saved.is_contiguous()
        return None if same else (saved, saved._version)

    def unpack(packed: tuple[Tensor, int] | None) -> Tensor:
        if packed is None:
            with torch.no_grad():
                return again()
        saved, version = packed
        if saved._version != version:  # torch looks only where nothing is packed
            raise RuntimeError(
                f"a tensor {tuple(saved.shape)} that the gradient of a Transformer's layer needs was changed in place; "
                f"it is at version {saved._version}, expected {version}."
            )
        return saved

    return saved_tensors_hooks(pack, unpack)
