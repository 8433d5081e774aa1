"""No layers: what a step reads is all that is known of it. For sources that are one vector, and for baselines."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from recurra.models.contract import Encoded, Ends, Layer, Step


class Identity(nn.Module):
    """No layers: what a step reads is all that is known of it; for a source of one vector, and for baselines.

    x (T, N, I) as it is; the summary is the last real step, and so is its state "h_l0".
    """

    causal = True

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        if not len(x):
            last = x.new_zeros(x.shape[1:])
        else:
            place = (lengths - 1).clamp(min=0).view(1, -1, 1).expand(1, -1, x.shape[2])
            last = x.gather(0, place).squeeze(0) * (lengths > 0).unsqueeze(1)
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
