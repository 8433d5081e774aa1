"""What is said at each step, or that nothing is: for connectionist temporal classification."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear

BlankShare = Annotated[
    float | None,
    Opt("training begins with this share of each step on the blank; null: as random weights have it", gt=0, lt=1),
]


class CtcHead(nn.Module):
    """Transcription: a score for each unit, and for the blank, at each step (Graves et al. 2006).

    outputs: "logits" (T, N, C), C = sizes["units"], the blank first.

    From random scores, units spread over half of the steps before they mean anything, and training may settle on the
    pauses between words, where it learns their number and nothing else. With most of each step on the blank, a unit
    grows only where the features call for it.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        output_dropout: o.OutputDropout = 0.0,
        blank_share: BlankShare = None,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, sizes["units"])
        if blank_share is not None:
            begin_on_blank(self.output, blank_share)

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        return {"logits": self.output(self.dropout(encoded.outputs))}

    def cannot_stream(self) -> list[str]:
        return []


def begin_on_blank(output: nn.Linear, share: float) -> None:
    """Biases by which the blank, unit 0, has this share where the features say nothing, and all units the same."""
    with torch.no_grad():
        output.bias.zero_()
        output.bias[0] = math.log(share / (1 - share)) + math.log(max(len(output.bias) - 1, 1))
