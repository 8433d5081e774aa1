"""Layers in each direction, over those of their own direction, and a learned mix of all (Peters et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.engine import reverse_sequences, sequence_mask
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.recurrent import layers_of
from recurra.nn import Recurrent


class ELMo(nn.Module):
    """Recurrent layers forward, as many backward, and the mix of all layers that a task learns for itself.

        h_t = g sum_j softmax(s)_j [forward_j,t ; backward_j,t]

    over the layers j = 1..L, and j = 0, [x_t ; x_t], where x is as wide as a layer. s starts at zero, g at one. A
    layer reads the one below of its own direction, so that it can begin with a language model of `backward_layer`;
    in a bidirectional `recurrent` every layer reads both.
    x (T, N, I) to outputs (T, N, 2 M), M the width of a layer; the summary is the same mix of what the layers of each
    direction end with. It needs the whole sequence and keeps no state.
    Source: Peters et al. 2018, arXiv:1802.05365, eq. 1.
    Raises ConfigError for options that cannot take effect, as `nn.Recurrent` does.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        *,
        cell: o.CellName = "lstm",
        hidden_size: o.HiddenSize = 128,
        num_layers: o.NumLayers = 2,
        proj_size: o.ProjSize = 0,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        if dropout and num_layers == 1:
            raise ConfigError("dropout: acts between layers, and there is one; use the head's output_dropout, or 0.")
        every: dict[str, Any] = {
            "proj_size": proj_size, "cell": cell, "variational_dropout": variational_dropout, "zoneout": zoneout,
            "init": init, "forget_bias": forget_bias, "backend": backend,
        }  # fmt: skip
        self.ahead, self.behind = (stacked(input_size, [hidden_size] * num_layers, every) for _ in range(2))
        width = each(self.ahead)[0].output_size
        self.with_inputs = input_size == width
        self.weights = nn.Parameter(torch.zeros(num_layers + self.with_inputs, dtype=torch.float32))
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.float32))
        self.dropout = nn.Dropout(dropout)
        self.output_size = 2 * width

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        ahead, last = self._read(self.ahead, x, lengths)
        behind, first = self._read(self.behind, reverse_sequences(x, lengths), lengths)
        behind = [reverse_sequences(h, lengths) for h in behind]
        if self.with_inputs:
            x = torch.where(sequence_mask(lengths, len(x)).unsqueeze(2), x, 0.0)
            ahead, behind = [x, *ahead], [x, *behind]
            last, first = [_at(x, lengths - 1), *last], [_at(x, lengths * 0), *first]
        shares = self.shares()
        outputs, summary = (_mixed(shares, *both) for both in ((ahead, behind), (last, first)))
        return Encoded(outputs, lengths, summary, {})

    def shares(self) -> Tensor:
        """What each layer is multiplied by, from below: g softmax(s)."""
        return self.scale * torch.softmax(self.weights, 0)

    def _read(self, stack: nn.ModuleList, x: Tensor, lengths: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The outputs of each layer (T, N, M), and what each ends with (N, M)."""
        outputs, ends = [], []
        for k, layer in enumerate(each(stack)):
            x, after = layer(self.dropout(x) if k else x, lengths=lengths)
            outputs.append(x)
            ends.append(layer.last(after))
        return outputs, ends

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        return both_ways(each(self.ahead), each(self.behind))

    def cannot_stream(self) -> list[str]:
        return ["elmo reads from both ends and needs the whole text; recurrent, in one direction, does not."]


def both_ways(ahead: Sequence[Recurrent], behind: Sequence[Recurrent]) -> list[Layer]:
    """The parameters of layers of both directions; those of the second as "weight_ih reverse"."""
    found: list[Layer] = []
    for one, other in zip(ahead, behind, strict=True):
        reverse = {f"{name} reverse": parameter for name, parameter in layers_of(other)[0].items()}
        found.append({**layers_of(one)[0], **reverse})
    return found


def stacked(width: int, sizes: Sequence[int], every: Mapping[str, Any]) -> nn.ModuleList:
    """Layers of these sizes, one over the other, the first over x (T, N, width)."""
    found = nn.ModuleList()
    for size in sizes:
        layer = Recurrent(width, size, **every)
        found.append(layer)
        width = layer.output_size
    return found


def each(stack: nn.ModuleList) -> list[Recurrent]:
    """The layers, from below."""
    return [layer for layer in stack if isinstance(layer, Recurrent)]


def _at(x: Tensor, steps: Tensor) -> Tensor:
    """(N, M): a step of each row of x (T, N, M), which is zero behind a row's end."""
    if not len(x):
        return x.new_zeros(x.shape[1:])
    return x.gather(0, steps.clamp(min=0).view(1, -1, 1).expand(1, -1, x.shape[2])).squeeze(0)


def _mixed(shares: Tensor, ahead: Sequence[Tensor], behind: Sequence[Tensor]) -> Tensor:
    """The layers of both directions side by side, each with its share, one added after the other."""
    parts = [share * torch.cat(both, -1) for share, *both in zip(shares.unbind(), ahead, behind, strict=True)]
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found
