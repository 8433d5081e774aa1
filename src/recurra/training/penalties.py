"""Penalties on the size of weights, added to the gradient of the mean loss, before clipping.

The objective is (nats per target) + sum of penalties, so their strength does not depend on the batch size, and the loss
that is reported stays the loss of the data alone. Weights are parameters with two or more axes: biases, gains of layer
norm and diagonal (peephole) weights are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import nn
from torch.nn import Parameter

from recurra.base.option import Opt
from recurra.training.bounds import bounded

# penalty(weights): adds its own gradient to theirs, in place.
Penalty = Callable[[Sequence[Parameter]], None]
Strength = Annotated[float, Opt("weight of the penalty beside the mean loss", gt=0)]


def weights_of(model: nn.Module) -> list[Parameter]:
    """The parameters that penalties act on, each once even if it is tied."""
    return [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]


@bounded
def l1(*, strength: Strength = 1e-5) -> Penalty:
    """strength * sum |w|, whose gradient is strength * sign(w), 0 at w = 0."""
    return lambda weights: _add(weights, strength, torch.sign)


@bounded
def l2(*, strength: Strength = 1e-4) -> Penalty:
    """strength / 2 * sum w^2, whose gradient is strength * w: the same scale as the weight decay of SGD."""
    return lambda weights: _add(weights, strength, torch.Tensor.detach)


@torch.no_grad()
def _add(weights: Sequence[Parameter], strength: float, slope: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """grad += strength * slope(w); a weight that this batch did not touch is still penalised."""
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        weight.grad.add_(slope(weight), alpha=strength)
