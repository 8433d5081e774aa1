"""A whole sequence to one vector, and on to numbers."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.engine import sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import POOLS


class NumbersHead(nn.Module):
    """Regression of a sequence: the steps become one vector (pooling), from which a linear layer says each number.

    outputs: "numbers" (N, D), D = sizes["targets"], in units of the targets' deviation.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        pooling: Annotated[str, Opt("how the steps become one vector", choices=POOLS)] = "last",
        output_dropout: o.OutputDropout = 0.0,
    ) -> None:
        super().__init__()
        self.pool = POOLS[pooling](input_size)
        self.dropout = nn.Dropout(output_dropout)
        self.output = nn.Linear(self.pool.output_size, sizes["targets"])

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        real = sequence_mask(encoded.lengths, len(encoded.outputs))
        pooled = self.pool(encoded.outputs, encoded.summary, real)
        return {"numbers": self.output(self.dropout(pooled))}

    def cannot_stream(self) -> list[str]:
        if isinstance(self.pool, POOLS["last"]):
            return []
        return ["pooling: only last needs no more than the state; the others need every step."]
