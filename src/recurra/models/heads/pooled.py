"""A whole sequence to one vector, and on to some numbers: what heads of whole sequences share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, nn

from recurra.base.option import Opt
from recurra.engine import nothing_padded, sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Sizes
from recurra.nn import POOLS, SteadyLinear
from recurra.nn.pool import Last
from recurra.nn.transformer.hooks import is_hooked


class PooledHead(nn.Module):
    """The steps become one vector (pooling), from which a linear layer makes one output.

    A head names the output, "output_name" (N, sizes[size_name]).
    """

    predicts_next = False
    output_name: ClassVar[str]
    size_name: ClassVar[str]

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
        self.output = SteadyLinear(self.pool.output_size, sizes[self.size_name])

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        pooled = self._pooled(encoded)
        return {self.output_name: self.output(self.dropout(pooled) if self.dropout.training else pooled)}

    def _pooled(self, encoded: Encoded) -> Tensor:
        T = len(encoded.outputs)
        if T and type(self.pool) is Last and not is_hooked(self.pool) and nothing_padded(encoded.lengths, T):
            return encoded.summary  # without masks, which take longer than the rest of a head
        pooled: Tensor = self.pool(encoded.outputs, encoded.summary, sequence_mask(encoded.lengths, T))
        return pooled

    def cannot_stream(self) -> list[str]:
        if isinstance(self.pool, Last):
            return []
        return ["pooling: only last needs no more than the state; the others need every step."]
