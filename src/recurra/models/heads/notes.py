"""Which notes sound after each step: a yes or no for each."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear


class NotesHead(nn.Module):
    """Next-chord prediction: which notes sound after each step, a yes or no for each, independent of one another given
    all steps before (the RNN of Boulanger-Lewandowski et al. 2012, arXiv:1206.6392, section 5, without its RBM).

    outputs: "logits" (T, N, F), F = sizes["features"].
    """

    predicts_next = True

    def __init__(
        self, input_size: int, sizes: Sizes, table: nn.Parameter | None, *, output_dropout: o.OutputDropout = 0.0
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, sizes["features"])

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        return {"logits": self.output(self.dropout(encoded.outputs))}

    def cannot_stream(self) -> list[str]:
        return []
