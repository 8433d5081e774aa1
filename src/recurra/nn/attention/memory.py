"""What attention looks at: the encoder's outputs, cleaned of padding, and what of them does not depend on the query."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recurra.base.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Memory:
    """Prepared once a batch, read at every step. Batch first, as batched products want it.

    values:  (N, T, M) what contexts are sums of, zero where padded       keys: (N, T, K) what queries are compared with
    padding: (N, 1, T) bool, True where there is nothing to attend to     lengths: (N,) int64
    has_empty: whether some row has nothing to attend to at all; its weights and its context are zero
    """

    values: Tensor
    keys: Tensor
    padding: Tensor
    lengths: Tensor
    has_empty: bool

    def select(self, rows: Tensor) -> Memory:
        """The rows (K,) of the batch, in this order; a row may come several times, or not at all."""
        return replace(
            self,
            values=self.values[rows],
            keys=self.keys[rows],
            padding=self.padding[rows],
            lengths=self.lengths[rows],
        )

    def first(self, n: int) -> Memory:
        """The first n rows, as views."""
        return replace(
            self,
            values=self.values[:n],
            keys=self.keys[:n],
            padding=self.padding[:n],
            lengths=self.lengths[:n],
        )


def real_values(memory: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Values (N, T, M) with zeros where padded, the padding (N, 1, T), and lengths (N,) on the memory's device.

    Raises ShapeError unless memory is (T, N, M) and lengths are N whole numbers in 0..T.
    """
    if memory.dim() != 3:
        raise ShapeError(f"attention: the memory has shape {tuple(memory.shape)}, expected (T, N, M).")
    T, N, _ = memory.shape
    values = memory.transpose(0, 1)
    if lengths is None:
        lengths = torch.full((N,), T, dtype=torch.int64, device=memory.device)
        return values.contiguous(), torch.zeros(N, 1, T, dtype=torch.bool, device=memory.device), lengths
    if lengths.shape != (N,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ShapeError(
            f"attention: lengths are {tuple(lengths.shape)} {lengths.dtype}, expected ({N},) whole numbers."
        )
    if N and not (int(lengths.min()) >= 0 and int(lengths.max()) <= T):
        raise ShapeError(f"attention: lengths run from {int(lengths.min())} to {int(lengths.max())}, expected 0..{T}.")
    lengths = lengths.to(device=memory.device, dtype=torch.int64)
    padding = torch.arange(T, device=memory.device) >= lengths.unsqueeze(1)
    # Selected, since zero times NaN is NaN, in the forward product and in the gradient of the keys' projection.
    return torch.where(padding.unsqueeze(2), values.new_zeros(()), values), padding.unsqueeze(1), lengths


def is_any_empty(lengths: Tensor) -> bool:
    """Whether a row has nothing to attend to."""
    return bool((lengths == 0).any())


def softmax_where(scores: Tensor, hidden: Tensor, *, may_be_empty: bool) -> Tensor:
    """Softmax over the last dimension of the entries that are not `hidden`; those are exactly zero.

    scores: (N, S, T)      hidden: bool, broadcast to it, True where there is nothing to attend to
    may_be_empty: a row may be hidden altogether; it is zero then, and so is its gradient
    """
    # The lowest finite number, not -inf: a row of -inf has a softmax of NaN. exp(lowest - highest score) is 0.
    weights = torch.softmax(scores.masked_fill(hidden, torch.finfo(scores.dtype).min), -1)
    return torch.where(hidden, weights.new_zeros(()), weights) if may_be_empty else weights
