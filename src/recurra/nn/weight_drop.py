"""DropConnect on the recurrent weights of a layer: the engine runs on weights of which some are zero."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from recurra.base.errors import ConfigError
from recurra.lower import layout
from recurra.nn.input_format import Lengths
from recurra.nn.recurrent import Recurrent, State


def weight_dropped(
    layer: Recurrent, p: float, x: Tensor, hx: State | None = None, *, lengths: Lengths | None = None
) -> tuple[Tensor, State]:
    """`layer(x, hx, lengths=lengths)` on recurrent weights of which, in training, a share p is zero: w m / (1 - p).

    One draw for all rows and all steps of the call, so that h is disturbed in the same way at every step.
    Source: Merity, Keskar & Socher 2017, arXiv:1708.02182, section 2; DropConnect: Wan et al. 2013.
    Raises ConfigError if the cell has no recurrent matrix.
    """
    if p == 0 or not layer.training:
        plain: tuple[Tensor, State] = layer(x, hx, lengths=lengths)
        return plain
    dropped = {name: torch.nn.functional.dropout(getattr(layer, name), p) for name in recurrent_weights(layer)}
    found: tuple[Tensor, State] = functional_call(layer, dropped, (x, hx), {"lengths": lengths})
    return found


def recurrent_weights(layer: Recurrent) -> list[str]:
    """Names of the layer's parameters that multiply a state: weight_hh of every layer and direction.

    Raises ConfigError if the cell has none, as indrnn, whose units do not see one another.
    """
    kinds = tuple(f"{p.name}_l" for p in layout(layer.cell, bias=layer.bias) if p.kind == "R")
    if not kinds:
        raise ConfigError(f"weight_drop: cell '{layer.cell.name}' has no recurrent matrix; use dropout, or 0.")
    return [name for name, _ in layer.named_parameters() if name.startswith(kinds)]
