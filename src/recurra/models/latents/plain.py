"""A code that is smaller than what it stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.losses import steady_sigmoid
from recurra.models.contract import Sizes
from recurra.models.latents.contract import Coded
from recurra.nn import SteadyLinear

Function = Literal["linear", "relu", "tanh", "sigmoid"]
FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": steady_sigmoid,
}


class Plain(nn.Module):
    """z = f(W h + b): with fewer numbers than a row has, an undercomplete code (Hinton & Salakhutdinov 2006).

    Raises ConfigError for a code as large as a row, unless what is read has noise: it could be a copy.
    """

    is_distribution = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        *,
        activation: Annotated[Function, Opt("function of the code's numbers")] = "linear",
    ) -> None:
        super().__init__()
        self.output_size = sizes["code"]
        if 0 < sizes["row"] <= self.output_size and not sizes["noisy"]:
            raise ConfigError(
                f"name: task.code_size is {self.output_size}, and a row has {sizes['row']} numbers: a plain code as "
                "large as a row can copy it. Make it smaller, set task.noise, or take model.latent: top_k."
            )
        self.activation = activation
        self.project = SteadyLinear(input_size, self.output_size)

    def forward(self, summary: Tensor, draws: Tensor | None) -> Coded:
        codes = FUNCTIONS[self.activation](self.project(summary))
        return Coded(codes, codes)
