"""Units of a feed-forward part, a function of each number, gated or not: in native code on the CPU.

y = f(a), or of rows in two halves y = f(a) b (Shazeer 2020, arXiv:2002.05202). What goes in is kept for the gradient,
and nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.engine import cpu
from recurra.engine.call import batched, recording, transformed
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.engine.transformer import ACTIVATIONS

Function = Callable[[Tensor], Tensor]


def gelu_tanh(x: Tensor) -> Tensor:
    """x Phi(x), with a tanh in the place of the error function (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return F.gelu(x, approximate="tanh")


WORDS: dict[Function, str] = {F.relu: "relu", F.gelu: "gelu", gelu_tanh: "gelu_tanh", F.silu: "silu"}
# Numbers below which a call is not shared among threads.
SMALLEST_SHARED = 2**18


def activated(x: Tensor, function: Function) -> Tensor:
    """f(x): GELU, exact or with tanh, and SiLU of float32 on the CPU in native code, others by torch."""
    if function is F.relu or not _can(x, function):
        return function(x)
    made: Tensor = _Units.apply(in_order(x), function, False)  # type: ignore[no-untyped-call]
    return made


def gated(x: Tensor, function: Function) -> Tensor:
    """(..., u) of x (..., 2 u): f(a) b, of halves a and b of each row; native as `activated`, of ReLU too."""
    if x.shape[-1] % 2 or not _can(x, function):
        return _halves(x, function)
    made: Tensor = _Units.apply(in_order(x), function, True)  # type: ignore[no-untyped-call]
    return made


def _halves(x: Tensor, function: Function) -> Tensor:
    a, b = x.chunk(2, -1)
    return function(a) * b


def _can(x: Tensor, function: Function) -> bool:
    if recording() or type(x) not in PLAIN or x.dtype is not torch.float32 or not x.is_cpu or transformed([x]):
        return False
    known = any(function is one for one in WORDS)  # by identity: another's function need not have a hash
    return x.dim() > 0 and x.numel() > 0 and known and cpu.available()


def _sizes(x: Tensor, function: Function, pairs: bool) -> list[int]:
    units = x.shape[-1] // 2 if pairs else x.shape[-1]
    threads = torch.get_num_threads() if x.numel() >= SMALLEST_SHARED else 1
    return [x.numel() // x.shape[-1], units, ACTIVATIONS.index(WORDS[function]), int(pairs), threads]


class _Units(torch.autograd.Function):
    """The gradient of the gradient is torch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Function, pairs: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.kinds, ctx.function, ctx.pairs = kinds((x,)), function, pairs
        sizes = _sizes(x, function, pairs)
        y = x.new_empty(*x.shape[:-1], sizes[1])
        cpu._native.units(cpu.instruction_set(), sizes, [address(x), address(y)])
        return y

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor, None, None]:
        if (further := torch.is_grad_enabled()) or batched([d_y]):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                y = _halves(x, ctx.function) if ctx.pairs else ctx.function(x)
            (d_x,) = torch.autograd.grad(y, x, d_y, create_graph=further)
            return d_x, None, None
        (x,) = restored(ctx.saved_tensors, ctx.kinds)
        d_y, d_x = in_order(d_y), torch.empty_like(x)
        addresses = [address(x), address(d_y), address(d_x)]
        cpu._native.unit_gradients(cpu.instruction_set(), _sizes(x, ctx.function, ctx.pairs), addresses)
        return d_x, None, None
