"""Convolutions over pictures on the engine's tiles, float32 on the CPU, without gradients: nothing is copied together.

Each picture is computed on its own, so it has the same bits alone and among others, for any number of threads.
"""

from __future__ import annotations

from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.engine import cpu
from recurra.engine.memory import address, in_order
from recurra.engine.transformer import NORMS, LinearNumbers, NormNumbers, can_step


class ConvolutionPlan:
    """A convolution's weights (C', C, kernel, kernel), packed; later changes of them are not seen.

    The caller has asked `can_convolve`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, stride: int, padding: int) -> None:
        outputs, channels, kernel, _ = weight.shape
        self._shape, self._stride, self._padding = (outputs, channels, kernel), stride, padding
        rows = LinearNumbers(weight.detach().permute(0, 2, 3, 1).flatten(1), bias).in_order()
        sizes = [channels, outputs, kernel, stride, padding]
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
        (outputs, channels, kernel), norm = self._shape, norm or NormNumbers()
        M, H, W = x.shape[:3]
        high, wide = ((side + 2 * self._padding - kernel) // self._stride + 1 for side in (H, W))
        shape = (M, high, wide, outputs)
        if x.shape[3:] != (channels,) or min(high, wide) < 1 or not norm.fits(channels):
            raise ShapeError(f"a convolution of {kernel} x {kernel} x {channels}: got pictures of {tuple(x.shape)}.")
        if beside is not None and beside.shape != shape:
            raise ShapeError(f"a convolution: beside has shape {tuple(beside.shape)}, expected {shape}.")
        x, norm, beside = in_order(x), norm.in_order(), None if beside is None else in_order(beside)
        made = x.new_empty(shape)
        work = 2 * made.numel() * kernel * kernel * channels
        sizes = [M, H, W, cpu.threads_of_call(work), NORMS.index(norm.kind), int(relu)]
        places = [x.data_ptr(), *norm.addresses, address(beside), made.data_ptr()]
        self._native.run(sizes, norm.eps, places)
        return made


def can_convolve(x: Tensor, *weights: Tensor | None) -> bool:
    """Whether pictures x (M, H, W, C) can be convolved with such weights: as `can_step`."""
    tensors = [x, *(t for t in weights if t is not None)]
    return x.dim() == 4 and can_step(tensors) and hasattr(cpu._native, "ConvolutionPlan")
