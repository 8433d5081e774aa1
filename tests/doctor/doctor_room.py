"""Small models on features, whose gradients can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Loss, Prediction
from recurra.cells import cell
from recurra.doctor import LayerProbe, probe
from recurra.nn import Recurrent

LONGEST = 256


@cell()
def diagonal(x: Any, h: Any, p: Any) -> Any:
    """Linear, each unit by itself: the gradient decays by v, exactly."""
    return p.v("h") * h + p.W("h", x)


@cell()
def linear(x: Any, h: Any, p: Any) -> Any:
    """Linear: the gradient is multiplied by R^T."""
    return p.R("h", h) + p.W("h", x)


class Reader(nn.Module):
    """Features (T, N, I) to the last state of recurrent layers, in float64."""

    def __init__(self, made: Any, size: int = 4, inputs: int = 3, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = Recurrent(inputs, size, cell=made, dtype=torch.float64, **options)

    def forward(self, batch: Batch) -> Prediction:
        outputs, state = self.recurrent(batch.inputs["features"], lengths=batch.lengths)
        return Prediction({"outputs": outputs, "last": self.recurrent.last(state)})


def batch(lengths: Sequence[int], *, inputs: int = 3, padding: float = 0.0, seed: int = 1) -> Batch:
    """Normal features of rows of these lengths; each row is the same whoever else is in the batch."""
    T, N = max(lengths), len(lengths)
    # Drawn at one length: torch draws other numbers for another one.
    rows = [torch.randn(LONGEST, inputs, dtype=torch.float64, generator=_generator(seed + n)) for n in range(N)]
    features = torch.stack(rows, 1)[:T]
    for n, length in enumerate(lengths):
        features[length:, n] = padding
    return Batch({"features": features}, torch.tensor(lengths), {}, tuple(range(len(lengths))))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss_at_the_end(prediction: Prediction, batch: Batch) -> Loss:
    """The sum of the last state: its gradient is one for each unit."""
    return Loss(prediction.outputs["last"].sum(), len(batch.lengths))


def loss_everywhere(prediction: Prediction, batch: Batch) -> Loss:
    """The sum of squares of all outputs: each step has a gradient of its own."""
    return Loss(prediction.outputs["outputs"].square().sum(), len(batch.lengths))


def only_layer(model: nn.Module, data: Batch, loss: Any = loss_at_the_end) -> LayerProbe:
    (layer,) = probe(model, data, loss).layers
    return layer


def put(parameter: Tensor, value: Tensor | float) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(value, dtype=parameter.dtype).expand_as(parameter))
