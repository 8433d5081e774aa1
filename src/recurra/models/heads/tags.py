"""A score for each tag at each step: by itself (softmax), or of a whole labelling (CRF)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import SteadyLinear


class TagsHead(nn.Module):
    """Sequence tagging: a tag at each step, by itself (softmax), or all together by a conditional random field (crf;
    Huang et al. 2015, arXiv:1508.01991; Lample et al. 2016, arXiv:1603.01360).

    outputs: "emissions" (T, N, L), L = sizes["labels"]; with crf also "transitions" (L, L) [from, to], "first" (L,),
    "last" (L,), as `recurra.nn.crf` reads them.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        output: Annotated[
            str,
            Opt(
                "output layer: crf scores a whole tag sequence, softmax each word by itself", choices=("crf", "softmax")
            ),
        ] = "crf",
        output_dropout: o.OutputDropout = 0.0,
    ) -> None:
        super().__init__()
        if output not in ("crf", "softmax"):
            raise ConfigError(f"output: is '{output}', expected crf or softmax.")
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, sizes["labels"])
        self.crf = Transitions(sizes["labels"]) if output == "crf" else None

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        found = {"emissions": self.output(self.dropout(encoded.outputs))}
        return found if self.crf is None else found | self.crf()

    def cannot_stream(self) -> list[str]:
        return []


class Transitions(nn.Module):
    """The scores of pairs of labels, of the first label and of the last one; 0 at the start, so all pairs are alike."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.first = nn.Parameter(torch.zeros(num_labels))
        self.last = nn.Parameter(torch.zeros(num_labels))

    def forward(self) -> dict[str, Tensor]:
        return {"transitions": self.transitions, "first": self.first, "last": self.last}
