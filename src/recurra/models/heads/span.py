"""Where in a text an answer begins and where it ends."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear


class SpanHead(nn.Module):
    """Extractive question answering: how well an answer begins, and ends, at each step, by a linear layer.

    Devlin et al. 2019, arXiv:1810.04805, section 4.2. outputs: "span_logits" (T, N, 2), of the first step and of the
    last.
    """

    predicts_next = False

    def __init__(
        self, input_size: int, sizes: Sizes, table: nn.Parameter | None, *, output_dropout: o.OutputDropout = 0.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, 2)

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        return {"span_logits": self.output(self.dropout(encoded.outputs))}

    def cannot_stream(self) -> list[str]:
        return ["name: span needs the end of a text before it can say where an answer begins."]
