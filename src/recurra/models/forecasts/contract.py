"""What a head of forecasts is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class ForecastHead(Protocol):
    """FORECASTS[word](input_size, future_size, sizes, *, options)."""

    def __call__(self, summary: Tensor, future: Tensor) -> Tensor:
        """summary (N, M), future (h, N, G) to numbers (h, N, D P)."""
        ...
