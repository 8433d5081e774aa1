"""Cross-entropy over classes and over labels, from logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from recurra.base.contracts import Loss
from recurra.base.errors import DataError, ShapeError
from recurra.losses.summing import fixed_sum

# torch gives a target of -100 no loss, silently. No target here means "ignore me", so the word is moved out of reach.
NO_IGNORE_INDEX = torch.iinfo(torch.int64).min


def cross_entropy(
    logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Loss:
    """Sum over rows of -sum_c q_c w_c log softmax(logits)_c, in nats; count is N, also under class weights.

    logits: (N, C) of any float dtype      targets: (N,) int64 in [0, C)      class_weights: (C,) or None, w = 1
    label_smoothing e in [0, 1]: q = (1 - e) onehot(target) + e / C.
    Raises ShapeError for another shape, dtype, or a target outside [0, C) (checked on the CPU; a GPU asserts).
    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7 (label smoothing).
    """
    rows = cross_entropy_per_row(logits, targets, class_weights=class_weights, label_smoothing=label_smoothing)
    return Loss(total=fixed_sum(rows), count=targets.numel())


def cross_entropy_per_row(
    logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """The terms of `cross_entropy` before they are summed: (N,), in nats, float32 or wider."""
    _check_classes(logits, targets)
    logits = _widened(logits)
    return F.cross_entropy(
        logits,
        targets,
        weight=_weights_like(logits, class_weights),
        ignore_index=NO_IGNORE_INDEX,
        reduction="none",
        label_smoothing=label_smoothing,
    )


def binary_cross_entropy(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None) -> Loss:
    """Sum over rows and labels of w_c (softplus(z) - y z), the negative log likelihood of C yes/no answers, in nats.

    logits z: (N, C) of any float dtype      targets y: (N, C) float in [0, 1]      class_weights: (C,) or None, w = 1
    count is N * C, also under class weights: every question is a target.
    Raises ShapeError for another shape or dtype.
    """
    rows = binary_cross_entropy_per_row(logits, targets, class_weights=class_weights)
    return Loss(total=fixed_sum(rows), count=targets.numel())


def binary_cross_entropy_per_row(logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None) -> Tensor:
    """The terms of `binary_cross_entropy`, summed over the C labels of each row: (N,), in nats, float32 or wider."""
    _check_labels(logits, targets)
    logits = _widened(logits)
    weights = _weights_like(logits, class_weights)
    terms = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), weight=weights, reduction="none")
    return terms.sum(1)


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights n / (C n_c): every class has the same share of the loss, and the mean weight of a target is 1.

    counts: training rows of each class; C = len(counts), n = sum(counts).
    Raises DataError for a class without rows. Source: King & Zeng 2001, "Logistic Regression in Rare Events Data".
    """
    for index, count in enumerate(counts):
        if count < 1:
            raise DataError(f"class weights: class {index} has {count} training rows, expected at least 1.")
    return [sum(counts) / (len(counts) * count) for count in counts]


def _widened(logits: Tensor) -> Tensor:
    """Half-precision logits as float32: a sum of a few thousand terms has no digits left in 11 bits."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _weights_like(logits: Tensor, class_weights: Tensor | None) -> Tensor | None:
    if class_weights is None:
        return None
    if class_weights.shape != logits.shape[1:]:
        raise ShapeError(
            f"class_weights have shape {tuple(class_weights.shape)}, expected ({logits.shape[1]},): one per class."
        )
    return class_weights.to(logits)


def _check_logits(logits: Tensor) -> None:
    if logits.dim() != 2 or not logits.is_floating_point():
        raise ShapeError(f"logits are {_described(logits)}, expected (N, C) of a float dtype.")


def _check_classes(logits: Tensor, targets: Tensor) -> None:
    _check_logits(logits)
    N, C = logits.shape
    if targets.shape != (N,) or targets.dtype != torch.int64:
        raise ShapeError(f"targets are {_described(targets)}, expected ({N},) of torch.int64 for {N} rows of logits.")
    # On a GPU the look would stop the pipeline at every step; there the kernel itself asserts.
    if N and targets.device.type == "cpu":
        low, high = (int(bound) for bound in torch.aminmax(targets))
        if low < 0 or high >= C:
            raise ShapeError(f"targets hold {low if low < 0 else high}, expected classes 0 to {C - 1}.")


def _check_labels(logits: Tensor, targets: Tensor) -> None:
    _check_logits(logits)
    if targets.shape != logits.shape or not targets.is_floating_point():
        raise ShapeError(f"targets are {_described(targets)}, expected {tuple(logits.shape)} of a float dtype.")


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {tensor.dtype}"
