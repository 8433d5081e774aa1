"""What is said at each step, or that nothing is: for connectionist temporal classification."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear


class CtcHead(nn.Module):
    """Transcription: a score for each unit, and for the blank, at each step (Graves et al. 2006).

    outputs: "logits" (T, N, C), C = sizes["units"], the blank first.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        output_dropout: o.OutputDropout = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, sizes["units"])

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        return {"logits": self.output(self.dropout(encoded.outputs))}

    def cannot_stream(self) -> list[str]:
        return []
