"""Convolutions over pictures on the engine's tiles, and their gradients: float32 on the CPU, nothing copied together.

Each picture is computed on its own, so it has the same bits alone and among others, for any number of threads; what the
pictures of a batch give to the gradient of a weight is added up in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.errors import ShapeError
from recurra.engine import cpu
from recurra.engine.call import batched, recording, transformed
from recurra.engine.memory import PLAIN, address, in_order, kinds, restored
from recurra.engine.transformer import NORMS, LinearNumbers, NormNumbers


class ConvolutionPlan:
    """A convolution's weights (C', C, rows, columns), packed; later changes of them are not seen.

    padding: of rows and of columns      The caller has asked `can_convolve`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, stride: int, padding: tuple[int, int]) -> None:
        self._shape, self._stride, self._padding = weight.shape, stride, padding
        # (C', rows, columns, C)
        self.rows = in_order(weight.detach().permute(0, 2, 3, 1))
        rows = LinearNumbers(self.rows, bias).in_order()
        sizes = _sizes(weight, stride, padding)
        self._native = cpu._native.ConvolutionPlan(cpu.instruction_set(), sizes, rows.addresses)

    @property
    def nbytes(self) -> int:
        """Of the packed weights."""
        return int(self._native.nbytes)

    def __call__(
        self, x: Tensor, norm: NormNumbers | None = None, *, relu: bool = False, beside: Tensor | None = None
    ) -> Tensor:
        """W * f(n(x)) + b + beside of pictures (M, H, W, C): (M, H', W', C').

        norm: n, over the channels of a pixel      relu: f      beside: of the result's shape, nothing if None
        Raises ShapeError for sizes that do not fit.
        """
        (outputs, channels, *kernel), norm = self._shape, norm or NormNumbers()
        M, H, W = x.shape[:3]
        high, wide = (
            (side + 2 * pad - taps) // self._stride + 1
            for side, pad, taps in zip((H, W), self._padding, kernel, strict=True)
        )
        shape = (M, high, wide, outputs)
        if x.shape[3:] != (channels,) or min(high, wide) < 1 or not norm.fits(channels):
            sides = " x ".join(map(str, (*kernel, channels)))
            raise ShapeError(f"a convolution of {sides}: got pictures of {tuple(x.shape)}.")
        if beside is not None and beside.shape != shape:
            raise ShapeError(f"a convolution: beside has shape {tuple(beside.shape)}, expected {shape}.")
        x, norm, beside = in_order(x), norm.in_order(), None if beside is None else in_order(beside)
        made = x.new_empty(shape)
        work = 2 * made.numel() * kernel[0] * kernel[1] * channels
        sizes = [M, H, W, cpu.threads_of_call(work), NORMS.index(norm.kind), int(relu)]
        places = [x.data_ptr(), *norm.addresses, address(beside), made.data_ptr()]
        self._native.run(sizes, norm.eps, places)
        return made


def _sizes(weight: Tensor, stride: int, padding: tuple[int, int]) -> list[int]:
    """What native code knows a convolution by."""
    outputs, channels, rows, columns = weight.shape
    return [channels, outputs, rows, columns, stride, *padding]


def can_convolve(x: Tensor, *weights: Tensor | None) -> bool:
    """Whether pictures x (M, H, W, C) can be convolved with such weights: float32 on the CPU, without autocast."""
    tensors = [x, *(t for t in weights if t is not None)]
    plain = all(type(t) in PLAIN and t.dtype is torch.float32 and t.is_cpu and t.numel() for t in tensors)
    if not plain or x.dim() != 4 or recording() or torch.is_autocast_enabled("cpu"):
        return False
    # Not in an engine built before the checkout was updated.
    return cpu.available() and hasattr(cpu._native, "convolution_gradients") and not transformed(tensors)


@dataclass(frozen=True, slots=True)
class _How:
    """What a convolution is besides its numbers."""

    stride: int
    padding: tuple[int, int]
    relu: bool
    norm: str  # one of NORMS
    eps: float


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm: NormNumbers | None = None,
    *,
    stride: int,
    padding: tuple[int, int],
    relu: bool = False,
    beside: Tensor | None = None,
) -> Tensor:
    """What a `ConvolutionPlan` of these weights gives, with gradients to all that has any.

    The caller has asked `can_convolve`. Gradients of gradients, and batches of them, are torch's.
    """
    norm = norm or NormNumbers()
    if not norm.fits(x.shape[3]):
        raise ShapeError(f"a convolution: a norm over {norm.size} numbers, and pictures of {tuple(x.shape)}.")
    given = (x, weight, bias, norm.weight, norm.bias, beside)
    tensors = [None if t is None else in_order(t) for t in given]
    how = _How(stride, padding, relu, norm.kind, norm.eps)
    made: Tensor = _Convolution.apply(*tensors, how)  # type: ignore[no-untyped-call]
    return made


class _Convolution(torch.autograd.Function):
    """A convolution, and its gradients in one native call: f(n(x)) is made anew there, picture by picture."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, weight, bias, norm_weight, norm_bias, beside, how = given
        plan = ConvolutionPlan(weight, bias, stride=how.stride, padding=how.padding)
        norm = NormNumbers(how.norm, norm_weight, norm_bias, how.eps, x.shape[3])
        ctx.save_for_backward(x, weight, bias, norm_weight, norm_bias)
        ctx.kinds, ctx.how, ctx.rows = kinds((x, weight, bias, norm_weight, norm_bias)), how, plan.rows
        return plan(x, norm, relu=how.relu, beside=beside)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[:5]
        beside = d_y if ctx.needs_input_grad[5] else None
        # create_graph=True, or a batch of gradients: torch knows how to go on from its own functions.
        if torch.is_grad_enabled() or batched([d_y]):
            return (*_gradients_by_torch(saved, ctx.how, d_y, wanted), beside, None)
        found = _gradients(restored(saved, ctx.kinds), ctx.rows, ctx.how, in_order(d_y), wanted)
        return (*found, beside, None)


def _gradients(saved: list[Any], rows: Tensor, how: _How, d_y: Tensor, wanted: tuple[bool, ...]) -> list[Tensor | None]:
    """Those that are wanted of x, weight, bias, and the norm's weight and bias."""
    x, weight, *_ = saved
    through = any(wanted[3:])  # the norm's come through f(n(x)), as that of x does
    made = [
        torch.empty_like(t, memory_format=torch.contiguous_format) if t is not None and asked else None
        for t, asked in zip(saved, (wanted[0] or through, *wanted[1:]), strict=True)
    ]
    threads = cpu.threads_of_call(4 * d_y.numel() * weight[0].numel())
    own = _sizes(weight, how.stride, how.padding)
    sizes = [*own, *x.shape[:3], threads, NORMS.index(how.norm), int(how.relu)]
    read = [address(t) for t in (x, *saved[3:], rows, d_y)]
    cpu._native.convolution_gradients(cpu.instruction_set(), sizes, how.eps, [*read, *map(address, made)])
    return made if wanted[0] else [None, *made[1:]]


def _gradients_by_torch(
    saved: tuple[Any, ...], how: _How, d_y: Tensor, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    with torch.enable_grad():
        y = _by_torch(saved, how)
        asked = [t for t, needed in zip(saved, wanted, strict=True) if needed]
        made = iter(torch.autograd.grad(y, asked, d_y, create_graph=torch.is_grad_enabled()))
    return [next(made) if needed else None for needed in wanted]


def _by_torch(saved: tuple[Any, ...], how: _How) -> Tensor:
    """W * f(n(x)) + b in torch's functions."""
    x, weight, bias, norm_weight, norm_bias = saved
    size = (x.shape[3],)
    if how.norm == "layer":
        x = F.layer_norm(x, size, norm_weight, norm_bias, how.eps)
    elif how.norm == "rms":
        x = F.rms_norm(x, size, norm_weight, how.eps)
    x = torch.relu(x) if how.relu else x
    # In torch's own order, as in `nn.convolution`: without the copy its gradients spoilt memory (torch 2.13).
    planes = x.permute(0, 3, 1, 2).contiguous()
    return F.conv2d(planes, weight, bias, how.stride, how.padding).permute(0, 2, 3, 1)
