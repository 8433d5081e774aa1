"""The contrast of pairs: each side must find its own among all others of the batch, either way."""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive_nats(first: Tensor, second: Tensor, scale: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of each pair, (N,) from the first to the second side and (N,) back.

    first, second: (N, D), each row of length 1      scale: a number, one by the temperature
    same: (N, N) bool, which of the second side are right for each of the first; the diagonal always is
    -log of the softmax of scale * first second^T, of all that is right together; back, over columns.
    Source: Radford et al. 2021, arXiv:2103.00020, figure 3, where nothing but the diagonal is right.
    """
    logits = scale * (first @ second.T)
    right = logits.masked_fill(~same, -torch.inf)
    return _nats(logits, right, 1), _nats(logits, right, 0)


def _nats(logits: Tensor, right: Tensor, dim: int) -> Tensor:
    return logits.logsumexp(dim) - right.logsumexp(dim)
