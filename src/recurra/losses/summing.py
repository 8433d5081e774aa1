"""A sum in an order that is fixed by the number of terms."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

# torch shares a sum of more than 32768 numbers among its threads, and the partial sums follow the thread count:
# 1e6 float32 numbers gave 500145.97 on one thread and 500146.00 on two (torch 2.13). Runs of 128 stay below that.
RUN = 128
SERIAL = 16_384


def fixed_sum(terms: Tensor) -> Tensor:
    """Sum all elements; the result depends on their values and number, never on the number of threads.

    terms: any shape, floating point. Returns a scalar tensor of the same dtype, 0 for no terms.
    """
    terms = terms.flatten()
    while terms.numel() > SERIAL:
        terms = pad(terms, (0, -terms.numel() % RUN)).view(-1, RUN).sum(1)
    return torch.sum(terms)
