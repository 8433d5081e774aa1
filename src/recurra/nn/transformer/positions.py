"""Where a step stands in its sequence, as numbers."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError

# Wavelengths go from 2 pi to so many times 2 pi (Vaswani et al. 2017, section 3.5; Su et al. 2021, arXiv:2104.09864).
LONGEST = 10_000.0


class Places(nn.Module):
    """Vectors of steps with their positions: (S, size) and t (S,) to (S, size).

    Vectors are multiplied by the root of their size where positions are added (Vaswani et al. 2017, arXiv:1706.03762,
    section 3.4). positions: sinusoid, learned, rotary or none; the last two add nothing here
    longest: steps that have a learned position; None: 512      Raises ConfigError for a step beyond them.
    """

    def __init__(self, size: int, positions: str, longest: int | None = None) -> None:
        super().__init__()
        self.size, self.positions = size, positions
        self.scale = size**0.5 if positions in ("sinusoid", "learned") else 1.0
        self.table = nn.Embedding(longest or 512, size) if positions == "learned" else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=size**-0.5)

    @property
    def most(self) -> int | None:
        """Steps that have a position; None: any number."""
        return None if self.table is None else self.table.num_embeddings

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        x = x * self.scale
        if self.positions == "sinusoid":
            return x + sinusoids(at, self.size, x)
        if self.table is None:
            return x
        if len(at) and int(at.max()) >= self.table.num_embeddings:
            raise ConfigError(
                f"max_positions: a sequence has {int(at.max()) + 1:,} steps, and there are positions for "
                f"{self.table.num_embeddings:,}; cut it, or train with more."
            )
        found: Tensor = x + self.table(at)
        return found


def unused_positions(positions: str, longest: int | None) -> list[str]:
    """What cannot take effect, a sentence each."""
    if longest is None or positions == "learned":
        return []
    return [f"max_positions: has no effect with positions: {positions}; leave it out."]


def sinusoids(steps: Tensor, size: int, like: Tensor) -> Tensor:
    """(S, size): sin(p / 10000^(2i / size)) at 2i, its cosine at 2i + 1, for positions p (S,); of like's dtype.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Angles are float64, since p / 10000^0 is not small.
    """
    angles = steps.double().unsqueeze(1) * frequencies(size, steps.device)
    return torch.stack([torch.sin(angles), torch.cos(angles)], 2).flatten(1)[:, :size].to(like.dtype)


def rotated(x: Tensor, first: int) -> Tensor:
    """(..., T, D) turned by its positions, first + t, as `rotated_at`."""
    return rotated_at(x, torch.arange(first, first + x.shape[-2], device=x.device))


def rotated_at(x: Tensor, steps: Tensor) -> Tensor:
    """(..., D), D even, turned by its positions p: pairs (x_i, x_{i + D/2}) by the angle p / 10000^(2i / D).

    steps: positions, of a shape that spreads over (...)
    Scores of what is turned depend on how far apart two steps are, and on nothing else of where they stand.
    Source: Su et al. 2021, arXiv:2104.09864, equation 15; halves in place of neighbours, as published weights have it.
    """
    D = x.shape[-1]
    cos, sin = turns(steps, D, x).chunk(2, -1)
    a, b = x[..., : D // 2], x[..., D // 2 :]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def turns(steps: Tensor, size: int, like: Tensor) -> Tensor:
    """(..., size): cosines and, behind them, sines of the angles of positions (...), of like's dtype."""
    angles = steps.to(torch.float64).unsqueeze(-1) * frequencies(size, like.device)
    return torch.cat([torch.cos(angles), torch.sin(angles)], -1).to(like.dtype)


def kept_turns(steps: int, size: int) -> Tensor:
    """(at least `steps`, size): `turns` of the positions from 0 on, float32 on the CPU; not to be written to."""
    return _kept_turns(1 << max(steps - 1, 0).bit_length(), size)


@lru_cache(maxsize=8)
def _kept_turns(steps: int, size: int) -> Tensor:
    with torch.inference_mode(mode=False), torch.no_grad():
        return turns(torch.arange(steps, device="cpu"), size, torch.empty((), dtype=torch.float32, device="cpu"))


def frequencies(size: int, device: torch.device) -> Tensor:
    """(ceil(size / 2),) 10000^(-2i / size), float64."""
    even = torch.arange(0, size, 2, device=device, dtype=torch.float64)
    return torch.exp(even * (-math.log(LONGEST) / size))
