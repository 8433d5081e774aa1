"""No layers: what a step reads is all that is known of it. For sources that are one vector, and for baselines."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra.models.contract import Encoded, Ends, Layer, Step


class Identity(nn.Module):
    """No layers: what a step reads is all that is known of it; for a source of one vector, and for baselines.

    x (T, N, I) as it is; the summary is the last real step, and so is its state "h_l0", which is as it was in a row
    without any.
    """

    causal = True

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        last = states["h_l0"] if "h_l0" in states else x.new_zeros(x.shape[1:])
        if len(x):
            place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, x.shape[2])
            last = torch.where((lengths > 0).unsqueeze(1), x.gather(0, place).squeeze(0), last)
        return Encoded(x, lengths, last, {"h_l0": last})

    def state_sizes(self) -> Mapping[str, int]:
        return {"h_l0": self.output_size}

    def incremental(self) -> Step:
        return lambda x, states: (x, {"h_l0": x})

    def ends(self) -> Ends:
        return Ends({"h": self.output_size}, 1, self.output_size)

    def layers(self) -> list[Layer]:
        return []

    def cannot_stream(self) -> list[str]:
        return []
