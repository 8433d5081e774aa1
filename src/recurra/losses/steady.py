"""The logistic function with the same bits for a number alone and among others."""

from __future__ import annotations

import torch
from torch import Tensor

# exp of it is finite in float32, and so is the square of what it is in a gradient.
FAR = 40.0


def steady_sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x) of any shape, x taken as no more than 40 from 0.

    torch's own makes a tensor's last numbers by another function than those before, so its bits depend on the batch.
    """
    return 1 / (1 + torch.exp(-x.clamp(-FAR, FAR)))
