"""Recurrent layers whose states go in and out, with the dropouts of AWD-LSTM (Merity et al. 2017, arXiv:1708.02182)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeGuard

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import reverse_sequences
from recurra.lower import projects
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.models.encoders.recurrent import Steps, ends_of, joined_states, layers_of, sizes_of, split_states
from recurra.nn import Recurrent, weight_dropped
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
                "while it learns, a second layer reads each chunk from its end and tells the token before (Peters et "
                "al. 2018), for a bidirectional model to begin with; needs num_layers: 1"
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
            *_backward(backward_layer, num_layers),
        ]
        if problems:
            raise ConfigError(problems)
        self.weight_drop = weight_drop
        every: dict[str, Any] = {
            "proj_size": proj_size, "cell": cell, "variational_dropout": variational_dropout, "zoneout": zoneout,
            "init": init, "forget_bias": forget_bias, "backend": backend,
        }  # fmt: skip
        sizes = [hidden_size] * (num_layers - 1) + [input_size if as_wide else hidden_size]
        self.recurrents, width = nn.ModuleList(), input_size
        for size in sizes:
            layer = Recurrent(width, size, **every)
            self.recurrents.append(layer)
            width = layer.output_size
        self.backward_layer = Recurrent(input_size, sizes[-1], **every) if backward_layer else None
        self.output_size = width
        if weight_drop:
            recurrent_weights(layer)  # refuses a cell without any
        self.dropout: nn.Module = (LockedDropout if locked_dropout else nn.Dropout)(dropout)

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        found: dict[str, Tensor] = {}
        read = x
        for k, layer in enumerate(self.recurrents):
            assert isinstance(layer, Recurrent)
            before = joined_states(layer, states, x, first=k)
            read = self.dropout(x) if k else x
            x, after = weight_dropped(layer, self.weight_drop, read, before, lengths=lengths)
            found, summary = found | split_states(layer, after, first=k), layer.last(after)
        return Encoded(x, lengths, summary, found, self._from_the_end(read, lengths))

    def _from_the_end(self, x: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the backward layer gives out after it has read x (T, N, I) from its end to each step; only in training.

        It knows no more than the chunk: its state before the chunk's end is zero, and it does not read the first step,
        which has nothing before it to tell.
        """
        if self.backward_layer is None or not self.training:
            return {}
        x, lengths = x[1:], (lengths - 1).clamp(min=0)
        h, _ = weight_dropped(self.backward_layer, self.weight_drop, reverse_sequences(x, lengths), lengths=lengths)
        return {"backward": reverse_sequences(h, lengths)}

    def state_sizes(self) -> Mapping[str, int]:
        layers = [layer for layer in self.recurrents if isinstance(layer, Recurrent)]
        return {name: size for k, layer in enumerate(layers) for name, size in sizes_of(layer, k).items()}

    def incremental(self) -> Step:
        return Steps([layer for layer in self.recurrents if isinstance(layer, Recurrent)])

    def ends(self) -> Ends:
        one, *_, top = [ends_of(layer) for layer in (*self.recurrents, self.recurrents[-1]) if _is_layer(layer)]
        return replace(one, layers=len(self.recurrents), output=self.output_size, top=top.states)

    def layers(self) -> list[Layer]:
        found = [one for layer in self.recurrents if isinstance(layer, Recurrent) for one in layers_of(layer)]
        if self.backward_layer is None:
            return found
        behind = {f"{name} reverse": p for name, p in layers_of(self.backward_layer)[0].items()}
        return [{**found[0], **behind}]

    def cannot_stream(self) -> list[str]:
        return []


def refuse_backward_layer(encoder: nn.Module) -> None:
    """Raises ConfigError for a backward layer, where nothing tells the token before with what it gives out."""
    if isinstance(encoder, AWD) and encoder.backward_layer is not None:
        raise ConfigError(
            "backward_layer: tells the token before each, which is learned with the head vocabulary alone; leave it "
            "out."
        )


def _is_layer(module: nn.Module) -> TypeGuard[Recurrent]:
    return isinstance(module, Recurrent)


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


def _backward(backward_layer: bool, num_layers: int) -> Iterator[str]:
    """A backward layer that no bidirectional model could begin with."""
    if backward_layer and num_layers > 1:
        yield (
            f"backward_layer: needs num_layers: 1, got {num_layers}; in a bidirectional model each layer above the "
            "first reads both directions of the one below. Leave one of them out."
        )
