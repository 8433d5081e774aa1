"""Gated linear units: a function of the first half of each row times the second half, in native code on the CPU.

y = f(a) b (Shazeer 2020, arXiv:2002.05202). What goes in is kept for the gradient, and nothing beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.engine import cpu
from recurra.engine.call import recording, transformed
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.engine.transformer import ACTIVATIONS

Function = Callable[[Tensor], Tensor]
WORDS: dict[Function, str] = {F.relu: "relu", F.gelu: "gelu", F.silu: "silu"}
# Numbers below which a call is not shared among threads.
SMALLEST_SHARED = 2**18


def gated(x: Tensor, function: Function) -> Tensor:
    """(..., u) of x (..., 2 u): function(a) * b, of halves a and b of each row.

    ReLU, GELU (exact) and SiLU of float32 on the CPU in native code, other functions and types by torch.
    """
    word = WORDS.get(function)
    if word is None or not _can_gate(x):
        a, b = x.chunk(2, -1)
        return function(a) * b
    made: Tensor = _Gated.apply(x, function)  # type: ignore[no-untyped-call]
    return made


def _can_gate(x: Tensor) -> bool:
    if recording() or type(x) not in PLAIN or x.dtype is not torch.float32 or not x.is_cpu or transformed([x]):
        return False
    return x.dim() > 0 and x.shape[-1] % 2 == 0 and x.numel() > 0 and cpu.available()


def _sizes(x: Tensor, function: Function) -> list[int]:
    units = x.shape[-1] // 2
    threads = torch.get_num_threads() if x.numel() >= SMALLEST_SHARED else 1
    return [x.numel() // (2 * units), units, ACTIVATIONS.index(WORDS[function]), threads]


class _Gated(torch.autograd.Function):
    """The gradient of the gradient is torch's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Function) -> Tensor:
        x = in_order(x)
        ctx.save_for_backward(x)
        ctx.kinds, ctx.function = kinds((x,)), function
        y = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
        cpu._native.gate(cpu.instruction_set(), _sizes(x, function), [address(x), address(y)])
        return y

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor, None]:
        if torch.is_grad_enabled():
            (x,) = ctx.saved_tensors
            a, b = x.chunk(2, -1)
            (d_x,) = torch.autograd.grad(ctx.function(a) * b, x, d_y, create_graph=True)
            return d_x, None
        (x,) = restored(ctx.saved_tensors, ctx.kinds)
        d_y, d_x = in_order(d_y), torch.empty_like(x)
        addresses = [address(x), address(d_y), address(d_x)]
        cpu._native.gate_gradients(cpu.instruction_set(), _sizes(x, ctx.function), addresses)
        return d_x, None
