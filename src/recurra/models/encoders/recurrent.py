"""Recurrent layers of any cell, one on the other, in one direction or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.engine import reverse_sequences
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.nn import Recurrent
from recurra.nn.incremental import IncrementalRNN
from recurra.nn.recurrent import State


class RecurrentEncoder(nn.Module):
    """Recurrent layers of any cell, one on the other, in one direction or both.

    x (T, N, input_size) to outputs (T, N, output_size), by `recurra.nn.Recurrent`.
    Its states are those of each layer, (N, width): "h_l0", "c_l0", "h_l1", ..., and "h_l0_reverse" backwards.
    Raises ConfigError for options that cannot take effect, as `nn.Recurrent` does.
    """

    def __init__(
        self,
        input_size: int,
        *,
        cell: o.CellName = "lstm",
        hidden_size: o.HiddenSize = 128,
        num_layers: o.NumLayers = 1,
        bidirectional: o.Bidirectional = False,
        merge: o.Merge = "concat",
        proj_size: o.ProjSize = 0,
        reverse: Annotated[bool, Opt("read each sequence from its end (Sutskever et al. 2014, section 3.3)")] = False,
        dropout: o.Dropout = 0.0,
        variational_dropout: o.VariationalDropout = 0.0,
        zoneout: o.Zoneout = 0.0,
        init: o.Init = "torch",
        forget_bias: o.ForgetBias = None,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        if problems := _problems(bidirectional, reverse, dropout, num_layers):
            raise ConfigError(problems)
        self.reverse, self.causal = reverse, not (bidirectional or reverse)
        self.recurrent = Recurrent(
            input_size,
            hidden_size,
            num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            cell=cell,
            merge=merge,
            variational_dropout=variational_dropout,
            zoneout=zoneout,
            init=init,
            forget_bias=forget_bias,
            backend=backend,
        )
        self.output_size = self.recurrent.output_size

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        x = reverse_sequences(x, lengths) if self.reverse else x
        outputs, after = self.recurrent(x, joined_states(self.recurrent, states, x), lengths=lengths)
        outputs = reverse_sequences(outputs, lengths) if self.reverse else outputs
        return Encoded(outputs, lengths, self.recurrent.last(after), split_states(self.recurrent, after))

    def state_sizes(self) -> Mapping[str, int]:
        return sizes_of(self.recurrent)

    def incremental(self) -> Step:
        if not self.causal:
            raise ConfigError(self.cannot_stream())
        return Steps([self.recurrent])

    def ends(self) -> Ends:
        return ends_of(self.recurrent)

    def layers(self) -> list[Layer]:
        return layers_of(self.recurrent)

    def cannot_stream(self) -> list[str]:
        found = []
        if self.recurrent.bidirectional:
            found.append(
                "bidirectional: a bidirectional model needs the whole text; train with bidirectional: false to stream."
            )
        if self.reverse:
            found.append("reverse: a text is read from its end, which is not known yet; train with reverse: false.")
        return found


class Steps:
    """One step of stacked layers after another: weights are packed once, where no gradients are asked for."""

    def __init__(self, stack: Sequence[Recurrent]) -> None:
        self._each = [IncrementalRNN(layers) for layers in stack]

    def __call__(self, x: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        after: dict[str, Tensor] = {}
        first = 0
        for step in self._each:
            names = [list(each) for each in zip(*state_names(step.layers, first).values(), strict=True)]
            before = [_known(each, states, step.layers.state_sizes(), x) for each in names]
            found = step(x, before)
            after |= {n: s for each, new in zip(names, found, strict=True) for n, s in zip(each, new, strict=True)}
            x, first = found[-1][0], first + step.layers.num_layers
        return x, after


def _known(names: Sequence[str], states: Mapping[str, Tensor], sizes: Sequence[int], x: Tensor) -> tuple[Tensor, ...]:
    """The states of one layer; zeros where none are given."""
    return tuple(states[n] if n in states else x.new_zeros(len(x), size) for n, size in zip(names, sizes, strict=True))


def state_names(layers: Recurrent, first: int = 0) -> Mapping[str, Sequence[str]]:
    """The names of each state of the cell, in the order of the rows of `Recurrent`'s states; first: of the layers."""
    return _state_names(layers.cell.states, layers.num_directions, first, layers.num_layers)


@lru_cache(maxsize=256)  # asked twice for each piece of what is streamed
def _state_names(states: tuple[str, ...], directions: int, first: int, number: int) -> Mapping[str, Sequence[str]]:
    places = [f"_l{k}{end}" for k in range(first, first + number) for end in ("", "_reverse")[:directions]]
    return MappingProxyType({name: tuple(name + place for place in places) for name in states})


def sizes_of(layers: Recurrent, first: int = 0) -> dict[str, int]:
    """The width of each state, by name."""
    each = zip(state_names(layers, first).values(), layers.state_sizes(), strict=True)
    return {name: width for names, width in each for name in names}


def joined_states(layers: Recurrent, states: Mapping[str, Tensor], x: Tensor, first: int = 0) -> State | None:
    """States by name as `Recurrent` takes them; None where none is given, zeros for one that is left out."""
    if not states:
        return None
    found = []
    for names, width in zip(state_names(layers, first).values(), layers.state_sizes(), strict=True):
        each = [states[name] if name in states else x.new_zeros(x.shape[1], width) for name in names]
        found.append(torch.stack(each) if len(each) > 1 else each[0].unsqueeze(0))
    return tuple(found) if len(found) > 1 else found[0]


def split_states(layers: Recurrent, states: State, first: int = 0) -> dict[str, Tensor]:
    """The states that `Recurrent` returns, by name, (N, width) each."""
    given = states if isinstance(states, tuple) else (states,)
    return {
        name: state
        for names, rows in zip(state_names(layers, first).values(), given, strict=True)
        for name, state in zip(names, rows.unbind(), strict=True)
    }


def ends_of(layers: Recurrent) -> Ends:
    """What recurrent layers end, or start, with; both directions side by side."""
    names = zip(layers.cell.states, layers.state_sizes(), strict=True)
    return Ends(
        {name: width * layers.num_directions for name, width in names},
        layers.num_layers,
        layers.output_size,
        layers.cell.together,
        layers.cell.name,
        layers.hidden_size,
    )


def layers_of(layers: Recurrent) -> list[Layer]:
    """The parameters of each layer, by name; those of the second direction as "weight_ih reverse"."""
    found: list[dict[str, nn.Parameter]] = [{} for _ in range(layers.num_layers)]
    for name, parameter in layers.named_parameters():
        stem, _, place = name.rpartition("_l")
        number, _, direction = place.partition("_")
        found[int(number)][f"{stem} {direction}".strip()] = parameter
    return list(found)


def _problems(bidirectional: bool, reverse: bool, dropout: float, num_layers: int) -> list[str]:
    found = []
    if reverse and bidirectional:
        found.append("reverse: has no effect with bidirectional, which reads both ways; leave one of them out.")
    if dropout and num_layers == 1:
        found.append("dropout: acts between layers, and there is one; use the head's output_dropout, or 0.")
    return found
