"""Convolutions over pictures and steps, and transposes, which have the same bits for a picture alone and among others.

Pictures are (M, H, W, C), as files have them: rows of pixels, from above, and the colours of a pixel side by side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.base.errors import ConfigError
from recurra.engine import linear
from recurra.engine.convolution import ConvolutionPlan, can_convolve, convolve
from recurra.engine.kept_plan import KeptPlan
from recurra.engine.transformer import NormNumbers


def _refuse_others(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Raise ConfigError for what a product of whole windows does not do."""
    (a, b), (c, d), pads = layer.kernel_size, layer.stride, layer.padding
    if a != b or c != d or isinstance(pads, str) or pads[0] != pads[1]:
        raise ConfigError(f"kernel_size, stride, padding: expected one number each, got {(a, b)}, {(c, d)}, {pads}.")
    if layer.groups != 1 or set(layer.dilation) != {1} or layer.padding_mode != "zeros":
        raise ConfigError("groups, dilation, padding_mode: only 1, 1 and zeros are there; leave them out.")


def _copied(x: Tensor) -> Tensor:
    """(M, H, W, C) as (M, C, H, W) in torch's own order: without the copy its gradients spoilt memory (torch 2.13)."""
    return x.permute(0, 3, 1, 2).contiguous()


def _native(
    layer: SteadyConvolution | SteadyConvolution1d,
    weight: Tensor,
    padding: tuple[int, int],
    x: Tensor,
    norm: NormNumbers | None = None,
    *,
    relu: bool = False,
    beside: Tensor | None = None,
) -> Tensor:
    """What the engine makes of pictures x, of packed weights that are kept where nothing is learned."""
    stride, bias = layer.stride[0], layer.bias
    if layer.training or torch.is_grad_enabled():
        return convolve(x, weight, bias, norm, stride=stride, padding=padding, relu=relu, beside=beside)
    plan = layer.kept_plan.of(
        [layer.weight] if bias is None else [layer.weight, bias],
        (),
        (stride, padding),
        lambda: ConvolutionPlan(weight, bias, stride=stride, padding=padding),
    )
    return plan(x, norm, relu=relu, beside=beside)


class SteadyConvolution(nn.Conv2d):
    """torch.nn.Conv2d, same arguments, names and state_dict, of pictures (M, H, W, C), square kernels without dilation.

    It is the engine's, forward and backward, picture by picture, where the engine runs: torch's own has other bits for
    a batch of another size. Elsewhere it is torch's, but in evaluation a product whose rows are copied together. Under
    autocast it is torch's. (M, H, W, C) to (M, H', W', C'), H' = (H + 2 padding - kernel) // stride + 1.
    Raises ConfigError for oblong kernels, strides and paddings, groups, dilation, and padding other than by zeros.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _refuse_others(self)
        self.kept_plan: KeptPlan[ConvolutionPlan] = KeptPlan()

    def forward(self, x: Tensor) -> Tensor:
        found = self.fused(x)
        if found is not None:
            return found
        if self.training or torch.is_autocast_enabled(x.device.type):
            return super().forward(_copied(x)).permute(0, 2, 3, 1)
        return self._product(x)

    def fused(
        self, x: Tensor, norm: NormNumbers | None = None, *, relu: bool = False, beside: Tensor | None = None
    ) -> Tensor | None:
        """W * f(n(x)) + b + beside in one native call, f being relu or nothing; None where that cannot run.

        That is so for other types and devices, under autocast, and for pictures smaller than a kernel.
        """
        if self.training:
            self.kept_plan.drop()
        norms = () if norm is None else (norm.weight, norm.bias)
        pad = int(self.padding[0])
        if not can_convolve(x, self.weight, self.bias, beside, *norms):
            return None
        if min(x.shape[1:3]) + 2 * pad < self.kernel_size[0]:
            return None
        return _native(self, self.weight, (pad, pad), x, norm, relu=relu, beside=beside)

    def _product(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _), pad = self.kernel_size, self.stride, int(self.padding[0])
        windows = F.pad(x, (0, 0, pad, pad, pad, pad)).unfold(1, kernel, stride).unfold(2, kernel, stride)
        places = windows.shape[:3]
        # The channels of a pixel stay side by side: copied channel by channel, a whole encoder took half as long again.
        rows = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, self.in_channels * kernel * kernel)
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        return linear.steady_linear(rows, weight, self.bias).view(*places, self.out_channels)


class SteadyConvolution1d(nn.Conv1d):
    """torch.nn.Conv1d, same arguments, names and state_dict, of steps (T, N, C): to (T', N, C').

    It is the engine's, forward and backward, row by row, where the engine runs and steps are no more apart than one;
    else torch's. T' = (T + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kept_plan: KeptPlan[ConvolutionPlan] = KeptPlan()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.kept_plan.drop()
        rows = x.transpose(0, 1).unsqueeze(1)  # (N, 1, T, C): each row is a picture of one line
        if not self._is_plain() or not can_convolve(rows, self.weight, self.bias):
            return super().forward(x.permute(1, 2, 0)).permute(2, 0, 1)
        made = _native(self, self.weight.unsqueeze(2), (0, int(self.padding[0])), rows)
        return made.squeeze(1).transpose(0, 1)

    def _is_plain(self) -> bool:
        said = isinstance(self.padding, str)  # in a word
        return self.groups == 1 and self.dilation == (1,) and self.padding_mode == "zeros" and not said


class SteadyTransposed(nn.ConvTranspose2d):
    """torch.nn.ConvTranspose2d, likewise: each number of (M, H, W, C) adds a kernel's worth of numbers.

    (M, H, W, C) to (M, H', W', C'), H' = (H - 1) stride - 2 padding + kernel + output_padding.
    Raises ConfigError as `SteadyConvolution`, and for an output_size, whose place output_padding takes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _refuse_others(self)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None:
            raise ConfigError("output_size: is not read; make the layer with output_padding.")
        if self.training:
            return super().forward(_copied(x)).permute(0, 2, 3, 1)
        (kernel, _), (stride, _), pad = self.kernel_size, self.stride, int(self.padding[0])
        M, H, W, C = x.shape
        height, width = (
            (size - 1) * stride - 2 * pad + kernel + more
            for size, more in zip((H, W), self.output_padding, strict=True)
        )
        # (C' k k, C): what each number adds, place by place
        each = linear.steady_linear(x.reshape(-1, C), self.weight.flatten(1).T, None).view(M, H * W, -1).transpose(1, 2)
        y = F.fold(each, (height, width), kernel, padding=pad, stride=stride).permute(0, 2, 3, 1)
        return y if self.bias is None else y + self.bias
