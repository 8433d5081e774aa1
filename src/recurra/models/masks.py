"""Which steps are real."""

from __future__ import annotations

import torch
from torch import Tensor


def real_steps(lengths: Tensor, T: int) -> Tensor:
    """(T, N) bool, True where a step is real, from lengths (N,)."""
    return torch.arange(T, device=lengths.device).unsqueeze(1) < lengths
