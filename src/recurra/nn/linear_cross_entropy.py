"""The output layer of a language model and its loss in one: nats of each row, without the matrix of probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.engine import linear, recording


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy in nats of softmax(x W^T + b) against one target a row.

    x: (M, D)   weight: (V, D)   bias: (V,) or None   targets: (M,) whole numbers in 0..V-1
    label_smoothing: in 0..1; this share of a target is spread evenly over all V (Szegedy et al. 2016, arXiv:1512.00567,
    section 7).
    Returns (M,) nats, differentiable with respect to x, weight and bias. Select the rows that count before the call.
    float32 on the CPU runs natively: the logits of some rows at a time are all that is held, and a sum or a mean of the
    nats costs three products. Other types and devices hold (M, V).
    Raises ShapeError if sizes, types or devices do not fit, or a target is out of range.
    """
    _check(x, weight, bias, targets, label_smoothing)
    # A copy, since the backward pass reads them again: the caller may have changed them by then.
    return linear.cross_entropy(x, weight, bias, targets.to(torch.int64, copy=True), label_smoothing)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> None:
    if x.dim() != 2 or weight.dim() != 2 or x.size(1) != weight.size(1):
        raise ShapeError(
            f"linear_cross_entropy: x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}, "
            "expected (M, D) and (V, D); flatten time and batch first."
        )
    (M, _), V = x.shape, len(weight)
    _expect("bias", bias, (V,), x)
    _expect("weight", weight, tuple(weight.shape), x)
    if targets.shape != (M,) or targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ShapeError(
            f"linear_cross_entropy: targets has shape {tuple(targets.shape)} and type {targets.dtype}, "
            f"expected ({M},) whole numbers: one target a row."
        )
    if targets.device != x.device:
        raise ShapeError(f"linear_cross_entropy: targets is on {targets.device}, x on {x.device}; move one of them.")
    if not recording():
        _check_range(targets, V)
    if not 0.0 <= smoothing <= 1.0:
        raise ShapeError(f"linear_cross_entropy: label_smoothing is {smoothing}, expected 0 to 1.")


def _expect(name: str, tensor: Tensor | None, shape: tuple[int, ...], x: Tensor) -> None:
    if tensor is None:
        return
    if tuple(tensor.shape) != shape:
        raise ShapeError(f"linear_cross_entropy: {name} has shape {tuple(tensor.shape)}, expected {shape}.")
    if tensor.dtype != x.dtype or tensor.device != x.device:
        raise ShapeError(
            f"linear_cross_entropy: {name} is {tensor.dtype} on {tensor.device}, x is {x.dtype} on {x.device}; "
            "convert one of them with .to()."
        )


def _check_range(targets: Tensor, V: int) -> None:
    if targets.numel() == 0:
        return
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= V:
        raise ShapeError(
            f"linear_cross_entropy: targets run from {low} to {high}, expected 0 to {V - 1}: there are {V} rows in "
            "weight. Leave out rows without a target before the call."
        )
