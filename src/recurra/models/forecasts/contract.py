"""What a head of forecasts is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class ForecastHead(Protocol):
    """FORECASTS[word](input_size, future_size, sizes, *, options).

    recursive: it says one step from what is known of it, and the encoder reads that before the next; else all at once
    """

    recursive: bool

    def __call__(self, summary: Tensor, future: Tensor, /) -> Tensor:
        """summary (N, M), future (h, N, G) to numbers (h, N, D P)."""
        ...
