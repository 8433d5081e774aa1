"""Feed-forward layers at each step: of rows that are one vector, the multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import without_padding
from recurra.losses import steady_sigmoid
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.convolutional import last_real
from recurra.nn import SteadyLinear

Activation = Literal["relu", "tanh", "sigmoid"]
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": steady_sigmoid,
}


class Dense(nn.Module):
    """Feed-forward layers, one on the other, at each step by itself: linear, layer norm, activation, dropout.

    Layer k is dropout(f(norm(W_k x + b_k))) of sizes[k] units. No step knows of another, and there is no state. Of one
    step it is the multilayer perceptron (Rumelhart, Hinton & Williams 1986), and a piece without steps has no summary.
    x (T, N, I) to outputs (T, N, sizes[-1]); the summary is the last real step, zeros for a row without any.
    Raises ConfigError for no layers.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        *,
        sizes: Annotated[tuple[int, ...], Opt("units of each layer, from below", ge=1, le=o.WIDEST)] = (128,),
        activation: Annotated[Activation, Opt("function of each layer's units")] = "relu",
        layer_norm: Annotated[bool, Opt("each layer's units are normalized before the activation")] = False,
        dropout: Annotated[float, Opt("dropout behind each layer", ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        if not 1 <= len(sizes) <= o.DEEPEST:
            raise ConfigError(f"sizes: has {len(sizes)} layers, expected 1 to {o.DEEPEST}; identity has none.")
        self.sizes, self.output_size = tuple(sizes), sizes[-1]
        self.activation = activation
        widths = (input_size, *sizes)
        self.linears = nn.ModuleList(SteadyLinear(a, b) for a, b in zip(widths, sizes, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(size) if layer_norm else nn.Identity() for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        # What stands in the padding must not reach a weight's gradient: 0 times NaN is NaN.
        y = self._said(without_padding(x, lengths))
        return Encoded(y, lengths, last_real(y, lengths), {})

    def _said(self, x: Tensor) -> Tensor:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = self.dropout(ACTIVATIONS[self.activation](norm(linear(x))))
        return x

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        return lambda x, states: (self._said(x), {})

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        found: list[Layer] = []
        for linear, norm in zip(self.linears, self.norms, strict=True):
            parts = (("linear", linear), ("norm", norm))
            found.append({f"{part}.{name}": p for part, module in parts for name, p in module.named_parameters()})
        return found

    def cannot_stream(self) -> list[str]:
        return []
