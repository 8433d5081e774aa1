"""A layer over bars above a layer over steps: how MusicVAE turns a code into a long row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from recurra.base.deadline import check_deadline
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Ends, Sizes
from recurra.models.reconstructions.beginning import FirstStates, as_state
from recurra.models.reconstructions.recurrent import OwnCell, OwnLayers, OwnSize
from recurra.nn import Recurrent, SteadyLinear
from recurra.nn.incremental import IncrementalRNN

Mean = Callable[[Tensor], Tensor]


class HierarchicalReconstruction(nn.Module):
    """A conductor gives each bar a vector c_u; a second layer begins each bar anew with it, and reads it at each step.

    The conductor's first states are tanh(W z + b), and those of a bar tanh(V c_u + a), so that what is said of a bar
    knows of the others by the code and the conductor alone (Roberts et al. 2018, arXiv:1803.05428, section 3.2). Here
    the conductor reads the code at each bar too. With teacher_forcing a step reads the one before it, that of the bar
    before among them: in training the true one, in answers what was said of it.
    Raises ConfigError for options that cannot take effect, and for rows that have no second bar.
    """

    def __init__(
        self,
        code_size: int,
        encoder: Any,
        known: Sizes,
        *,
        bar: Annotated[int, Opt("steps of a bar", ge=2, le=100_000)] = 16,
        cell: OwnCell = None,
        conductor_size: Annotated[
            int | None, Opt("units of the layer over bars; null: hidden_size", ge=1, le=o.WIDEST)
        ] = None,
        hidden_size: OwnSize = None,
        num_layers: OwnLayers = None,
        teacher_forcing: Annotated[bool, Opt("a step reads the one before it: in training the true one")] = False,
        dropout: o.Dropout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        like = Ends({}, 0, 0) if encoder is None else encoder.ends()
        layers, units = num_layers or like.layers or 1, hidden_size or like.hidden_size or 128
        _refuse(bar, known["steps"], dropout, layers)
        self.reads_back, self.bar, self.values = teacher_forcing, bar, known["values"]
        word = cell or like.cell or "lstm"
        self.conductor = Recurrent(code_size, conductor_size or units, cell=word, backend=backend)
        width = self.conductor.output_size
        read = width + (self.values if teacher_forcing else 0)
        self.recurrent = Recurrent(read, units, layers, dropout=dropout, cell=word, backend=backend)
        self.first_of_all, self.first_of_bar = FirstStates(self.conductor), FirstStates(self.recurrent)
        self.begin, self.begin_bar = self.first_of_all.made_for(code_size), self.first_of_bar.made_for(width)
        self.output = SteadyLinear(self.recurrent.output_size, self.values * known["parameters"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        return self._all(codes, lengths, None)

    def taught(self, codes: Tensor, lengths: Tensor, values: Tensor) -> Tensor:
        """The same, each step behind the true values (T, N, D) of the one before it."""
        return self._all(codes, lengths, torch.cat([torch.zeros_like(values[:1]), values[:-1]]))

    def alone(self, codes: Tensor, lengths: Tensor, mean: Mean) -> Tensor:
        """The same, each step behind what was said of the one before it. mean: values (N, D) of numbers (N, D P)"""
        T = _longest(lengths)
        before, found = codes.new_zeros(len(codes), self.values), []
        step = IncrementalRNN(self.recurrent)
        for start, bar in zip(range(0, T, self.bar), self._conducted(codes, lengths), strict=True):
            begun = self.first_of_bar(self.begin_bar, bar)
            states = tuple(zip(*(each.unbind() for each in begun), strict=True))
            for _ in range(min(self.bar, T - start)):
                check_deadline()
                states = step(torch.cat([bar, before], 1), states)
                found.append(self.output(self.dropout(states[-1][0])))
                before = mean(found[-1])
        return torch.stack(found) if found else codes.new_zeros(0, len(codes), self.output.out_features)

    def _conducted(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """(U, N, C) a vector for each bar."""
        bars = -(-lengths // self.bar)
        begun = as_state(self.first_of_all(self.begin, codes))
        found: Tensor = self.conductor(codes.expand(_longest(bars), -1, -1), begun, lengths=bars)[0]
        return found

    def _all(self, codes: Tensor, lengths: Tensor, before: Tensor | None) -> Tensor:
        """(T, N, D P): all bars of all rows side by side, as none waits for another."""
        conducted = self._conducted(codes, lengths)
        U, N, T = len(conducted), len(codes), _longest(lengths)
        bars = conducted.flatten(0, 1)
        starts = torch.arange(U, device=lengths.device).unsqueeze(1) * self.bar
        steps = (lengths - starts).clamp(0, self.bar).flatten()
        x = bars.expand(min(self.bar, T), -1, -1)
        if before is not None:
            x = torch.cat([x, self._in_bars(before, U)[: len(x)]], 2)
        outputs, _ = self.recurrent(x, as_state(self.first_of_bar(self.begin_bar, bars)), lengths=steps)
        numbers: Tensor = self.output(self.dropout(outputs))
        return numbers.reshape(len(x), U, N, numbers.shape[2]).transpose(0, 1).flatten(0, 1)[:T]

    def _in_bars(self, values: Tensor, bars: int) -> Tensor:
        """(bar, U N, D) of (T, N, D), zero behind the last step."""
        more = bars * self.bar - len(values)
        whole = torch.nn.functional.pad(values, (0, 0, 0, 0, 0, more))
        N, D = values.shape[1:]
        return whole.view(bars, self.bar, N, D).transpose(0, 1).flatten(1, 2)


def _longest(lengths: Tensor) -> int:
    return int(lengths.max()) if len(lengths) else 0


def _refuse(bar: int, steps: int, dropout: float, layers: int) -> None:
    problems = []
    if 0 < steps <= bar:
        problems.append(
            f"bar: has {bar} steps, and the longest row {steps}, so that there is nothing to conduct; make bar "
            "smaller, or take decoder recurrent."
        )
    if dropout and layers == 1:
        problems.append("dropout: acts between layers, and the decoder has one; use output_dropout, or 0.")
    if problems:
        raise ConfigError(problems)
