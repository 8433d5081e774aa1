"""Recurrent layers whose states go in and out, with the dropouts of AWD-LSTM (Merity et al. 2017, arXiv:1708.02182)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import reverse_sequences
from recurra.lower import projects
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.elmo import both_ways, each, stacked
from recurra.models.encoders.recurrent import Steps, ends_of, joined_states, layers_of, sizes_of, split_states
from recurra.nn import weight_dropped
from recurra.nn.dropout import LockedDropout
from recurra.nn.weight_drop import recurrent_weights


class AWD(nn.Module):
    """Recurrent layers for language models, with the dropouts of AWD-LSTM (Merity et al. 2017, arXiv:1708.02182).

    x (T, N, input_size) to outputs (T, N, output_size): one layer after another, each with a width of its own.
    Its states are those of each layer, (N, width): "h_l0", "c_l0", "h_l1", ...
    Raises ConfigError, with all problems at once, for options that cannot take effect.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        *,
        cell: o.CellName = "lstm",
        hidden_size: o.HiddenSize = 200,
        num_layers: o.NumLayers = 2,
        last_layer: Annotated[
            str,
            Opt(
                "units of the last layer: input_size, as weights tied to the embedding need (Merity et al. 2017, 4.5), "
                "or hidden_size",
                choices=("input_size", "hidden_size"),
            ),
        ] = "input_size",
        proj_size: o.ProjSize = 0,
        dropout: o.Dropout = 0.0,
        locked_dropout: o.LockedDropoutOption = False,
        weight_drop: Annotated[
            float, Opt("share of recurrent weights that are zero in a step (Merity et al. 2017)", ge=0, lt=1)
        ] = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        backward_layer: Annotated[
            bool,
            Opt(
                "while it learns, as many layers more read each chunk from its end and tell the token before (Peters "
                "et al. 2018), for encoder elmo to begin with, or of one layer a bidirectional one"
            ),
        ] = False,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        as_wide = last_layer == "input_size" and not projects(CELLS[cell])
        problems = [
            *_dropouts(dropout, locked_dropout, num_layers),
            *(_only_layer(hidden_size, input_size) if as_wide and num_layers == 1 else ()),
            *_last(last_layer, cell),
        ]
        if problems:
            raise ConfigError(problems)
        self.weight_drop = weight_drop
        every: dict[str, Any] = {
            "proj_size": proj_size, "cell": cell, "variational_dropout": variational_dropout, "zoneout": zoneout,
            "init": init, "forget_bias": forget_bias, "backend": backend,
        }  # fmt: skip
        sizes = [hidden_size] * (num_layers - 1) + [input_size if as_wide else hidden_size]
        self.recurrents = stacked(input_size, sizes, every)
        self.backward_layers = stacked(input_size, sizes if backward_layer else [], every)
        top = each(self.recurrents)[-1]
        self.output_size = top.output_size
        if weight_drop:
            recurrent_weights(top)  # refuses a cell without any
        self.dropout: nn.Module = (LockedDropout if locked_dropout else nn.Dropout)(dropout)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        found: dict[str, Tensor] = {}
        below = x
        for k, layer in enumerate(each(self.recurrents)):
            before = joined_states(layer, states, x, first=k)
            read = self.dropout(x) if k else x
            x, after = weight_dropped(layer, self.weight_drop, read, before, lengths=lengths)
            found, summary = found | split_states(layer, after, first=k), layer.last(after)
        return Encoded(x, lengths, summary, found, self._from_the_end(below, lengths))

    def _from_the_end(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the backward layers give out after reading x (T, N, I) from its end to each step; only in training.

        They know no more than the chunk: their states before its end are zero, and they do not read the first step,
        which has nothing before it to tell.
        """
        if not self.backward_layers or not self.training:
            return {}
        x, lengths = x[1:], (lengths - 1).clamp(min=0)
        x = reverse_sequences(x, lengths)
        for k, layer in enumerate(each(self.backward_layers)):
            x, _ = weight_dropped(layer, self.weight_drop, self.dropout(x) if k else x, lengths=lengths)
        return {"backward": reverse_sequences(x, lengths)}

    def state_sizes(self) -> Mapping[str, int]:
        sizes = (sizes_of(layer, k).items() for k, layer in enumerate(each(self.recurrents)))
        return {name: size for one in sizes for name, size in one}

    def incremental(self) -> Step:
        return Steps(each(self.recurrents))

    def ends(self) -> Ends:
        one, *_, top = [ends_of(layer) for layer in each(self.recurrents) + each(self.recurrents)[-1:]]
        return replace(one, layers=len(self.recurrents), output=self.output_size, top=top.states)

    def layers(self) -> list[Layer]:
        if self.backward_layers:
            return both_ways(each(self.recurrents), each(self.backward_layers))
        return [one for layer in each(self.recurrents) for one in layers_of(layer)]

    def cannot_stream(self) -> list[str]:
        return []


def refuse_backward_layer(encoder: nn.Module) -> None:
    """Raises ConfigError for a backward layer, where nothing tells the token before with what it gives out."""
    if isinstance(encoder, AWD) and encoder.backward_layers:
        raise ConfigError(
            "backward_layer: tells the token before each, which is learned with the head vocabulary alone; leave it "
            "out."
        )


def _dropouts(dropout: float, locked: bool, num_layers: int) -> Iterator[str]:
    if dropout and num_layers == 1:
        yield "dropout: acts between layers, and there is one; use the head's output_dropout, or 0."
    if locked and not dropout:
        yield "locked_dropout: has no effect without dropout; set it, or leave this one out."


def _last(last_layer: str, cell: str) -> Iterator[str]:
    if last_layer == "hidden_size" and projects(CELLS[cell]):
        yield (
            f"last_layer: has no effect with cell {cell}, whose layers all give out proj_size numbers; leave one of "
            "them out."
        )


def _only_layer(hidden_size: int, input_size: int) -> Iterator[str]:
    if hidden_size != input_size:
        yield (
            f"hidden_size: is {hidden_size}, and the only layer is as wide as its input, {input_size}; make them "
            "equal, use more layers, or set last_layer: hidden_size."
        )
