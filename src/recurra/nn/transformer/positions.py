"""Where a step stands in its sequence, as numbers."""

from __future__ import annotations

import torch
from torch import Tensor

# Wavelengths go from 2 pi to so many times 2 pi (Vaswani et al. 2017, section 3.5; Su et al. 2021, arXiv:2104.09864).
LONGEST = 10_000.0


def sinusoids(steps: Tensor, size: int, like: Tensor) -> Tensor:
    """(S, size): sin(p / 10000^(2i / size)) at 2i, its cosine at 2i + 1, for positions p (S,); of like's dtype.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Angles are float64, since p / 10000^0 is not small.
    """
    angles = steps.double().unsqueeze(1) * frequencies(size, steps.device)
    return torch.stack([torch.sin(angles), torch.cos(angles)], 2).flatten(1)[:, :size].to(like.dtype)


def rotated(x: Tensor, first: int) -> Tensor:
    """(..., T, D), D even, turned by its position, first + t: pairs (x_i, x_{i + D/2}) by the angle p / 10000^(2i / D).

    Scores of what is turned depend on how far apart two steps are, and on nothing else of where they stand.
    Source: Su et al. 2021, arXiv:2104.09864, equation 15; halves in place of neighbours, as published weights have it.
    """
    T, D = x.shape[-2:]
    steps = torch.arange(first, first + T, device=x.device, dtype=torch.float64)
    angles = steps.unsqueeze(1) * frequencies(D, x.device)
    cos, sin = torch.cos(angles).to(x.dtype), torch.sin(angles).to(x.dtype)
    a, b = x[..., : D // 2], x[..., D // 2 :]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def frequencies(size: int, device: torch.device) -> Tensor:
    """(ceil(size / 2),) 10000^(-2i / size), float64."""
    even = torch.arange(0, size, 2, device=device, dtype=torch.float64)
    return torch.exp(even * (-torch.log(torch.tensor(LONGEST, dtype=torch.float64)) / size))
