"""One step of a forecast after the other, each read before the next is said."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import SteadyLinear


class RecursiveForecast(nn.Module):
    """The next step alone: the encoder reads it, and says the one after it. In training it reads what was, in forecasts
    what it said itself (teacher forcing: Williams & Zipser 1989), the median or the mean.

    Raises ConfigError where the encoder could not read a step to come: with columns of the past alone, with forecasts
    that are differences from a season before, and with counts, whose numbers are no values.
    """

    recursive = True

    def __init__(
        self, input_size: int, future_size: int, sizes: Sizes, *, output_dropout: o.OutputDropout = 0.0
    ) -> None:
        super().__init__()
        problems = []
        if sizes.get("past", 0):
            problems.append(
                "recursive: columns of task.past end with what was observed; take direct, or leave them out."
            )
        if sizes.get("fed", 0) < 0:
            problems.append(
                "recursive: cannot read its own forecast with task.base: season, or a loss of counts; take direct."
            )
        if problems:
            raise ConfigError(problems)
        self.targets, self.fed = sizes["targets"], sizes.get("fed", 0)
        self.output = SteadyLinear(input_size + future_size, sizes["targets"] * sizes["numbers"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, known: Tensor) -> Tensor:
        """known (..., M + G): what the encoder knows, and what is known of the step, to numbers (..., D P)."""
        found: Tensor = self.output(self.dropout(known))
        return found

    def value(self, numbers: Tensor) -> Tensor:
        """(N, D) what is read of numbers (N, D P)."""
        return numbers.view(len(numbers), self.targets, -1)[..., self.fed]
