"""Feed-forward layers from a code to a row that is one vector."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.models.encoders.dense import ACTIVATIONS, Activation, Dense
from recurra.models.encoders.pictures import Pictures
from recurra.nn import SteadyLinear


class DenseReconstruction(nn.Module):
    """Layers of the encoder's sizes in the opposite order, and a linear one to the row.

    Raises ConfigError for rows of several steps, and where the sizes are open and the encoder has none.
    """

    def __init__(
        self,
        code_size: int,
        encoder: Any,
        known: Sizes,
        *,
        sizes: Annotated[
            tuple[int, ...] | None,
            Opt("units of each layer, from the code; null: those of a dense encoder, from its top", ge=1, le=o.WIDEST),
        ] = None,
        activation: Annotated[Activation, Opt("function of each layer's units")] = "relu",
    ) -> None:
        super().__init__()
        problems = []
        if known["steps"] > 1:
            problems.append(
                "name: dense writes rows that are one vector, and these have several steps; take recurrent or "
                "transformer, or set task.flatten: true."
            )
        elif sizes is None and not isinstance(encoder, Dense):
            beside = ", or take decoder pictures" * isinstance(encoder, Pictures)
            problems.append(f"sizes: null mirrors encoder dense, and the encoder is another; say them{beside}.")
        if problems:
            raise ConfigError(problems)
        found = tuple(reversed(encoder.sizes)) if sizes is None else sizes
        self.activation = activation
        self.layers = nn.ModuleList(SteadyLinear(a, b) for a, b in zip((code_size, *found), found, strict=False))
        self.output = SteadyLinear((code_size, *found)[-1], known["values"] * known["parameters"])

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        for layer in self.layers:
            codes = ACTIVATIONS[self.activation](layer(codes))
        said: Tensor = self.output(codes)
        return said.unsqueeze(0)
