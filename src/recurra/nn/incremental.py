"""One step of stacked layers after another, for decoding: weights are packed once, and no state is recomputed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.engine import Stepper
from recurra.nn.modes import in_evaluation
from recurra.nn.recurrent import Recurrent

States = tuple[Tensor, ...]


class IncrementalRNN:
    """Steps of a Recurrent of one direction, as in evaluation: no dropout, zoneout's expectation.

    Made and called without gradients, they run on the native engine where it can, with the weights of the time when
    they were made. Else each is one call of the layer with T = 1.
    """

    def __init__(self, layers: Recurrent) -> None:
        self.layers = layers
        self.steppers = [] if torch.is_grad_enabled() else _steppers(layers)

    def __call__(self, x: Tensor, states: Sequence[States]) -> tuple[States, ...]:
        """All layers' states after x (N, I), from their states before."""
        if not self.steppers or torch.is_grad_enabled():
            return _layer_call(self.layers, x, states)
        new: list[States] = []
        for stepper, old in zip(self.steppers, states, strict=True):
            new.append(tuple(stepper(x, old)))
            x = new[-1][0]
        return tuple(new)


def _steppers(layers: Recurrent) -> list[Stepper]:
    """One a layer, or none where the native engine cannot take this layer's steps."""
    if any(layers.zoneout) or layers.backend not in ("auto", "cpu") or layers.watch is not None:
        return []
    try:
        return [Stepper(layers.weights_of(layer, 0)) for layer in range(layers.num_layers)]
    except ConfigError:
        return []


def _layer_call(layers: Recurrent, x: Tensor, states: Sequence[States]) -> tuple[States, ...]:
    stacked = tuple(torch.stack(column) for column in zip(*states, strict=True))
    with in_evaluation(layers):
        _, new = layers(x.unsqueeze(0), stacked if len(stacked) > 1 else stacked[0])
    columns = new if isinstance(new, tuple) else (new,)
    return tuple(tuple(column[k] for column in columns) for k in range(layers.num_layers))
