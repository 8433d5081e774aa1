"""How large an update is beside the weights that it changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# A thousandth is the usual rule of thumb for a network that learns; ten times more or a hundred times less is far off.
LARGE, SMALL = 1e-2, 1e-5


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter that is a matrix; biases may start at zero, and then have no ratio."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.dim() >= 2}


def update_ratios(before: Mapping[str, Tensor], model: nn.Module) -> dict[str, float]:
    """The Euclidean norm of what changed since `before`, beside the norm of what was there, by parameter."""
    with torch.no_grad():
        return {
            name: float((p.detach() - before[name]).norm() / before[name].norm())
            for name, p in model.named_parameters()
            if name in before and before[name].norm() > 0
        }
