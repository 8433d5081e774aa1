"""No wide part: what the head says is the answer."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.models.contract import Sizes


class NoWide(nn.Module):
    """No wide part: what the head says is the answer. Raises ConfigError where the task counts n-grams all the same."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        if "ngrams" in sizes:
            raise ConfigError(
                "none: nothing reads the n-grams that task.ngrams counts; set task.ngrams: none, or model.wide: bag."
            )

    def forward(self, batch: Batch, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return outputs

    def cannot_stream(self) -> list[str]:
        return []
