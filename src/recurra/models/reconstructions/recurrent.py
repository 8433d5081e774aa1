"""A recurrent layer from a code to the steps of a row, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from recurra.base.deadline import check_deadline
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.engine import reverse_sequences
from recurra.models import options as o
from recurra.models.contract import Ends, Sizes
from recurra.models.reconstructions.beginning import FirstStates, as_state
from recurra.nn import Recurrent, SteadyLinear
from recurra.nn.incremental import IncrementalRNN

OwnCell = Annotated[str | None, Opt("the decoder's recurrent cell; null: the encoder's, or lstm", choices=CELLS)]
OwnSize = Annotated[int | None, Opt("units of a layer; null: the encoder's, or 128", ge=1, le=o.WIDEST)]
OwnLayers = Annotated[int | None, Opt("recurrent layers; null: the encoder's, or 1", ge=1, le=o.DEEPEST)]
Mean = Callable[[Tensor], Tensor]


class RecurrentReconstruction(nn.Module):
    """Recurrent layers that begin with the code and read it at every step; what they give out becomes a step's numbers.

    Their first states are tanh(W z + b), but those that are one memory with others, which are zero. With
    teacher_forcing each step reads the one before it too: in training the true one, in answers what was said of it
    (Srivastava, Mansimov & Salakhutdinov 2015, arXiv:1502.04681, section 2.3: a conditional decoder). reverse writes a
    row from its end, which the encoder has read last (section 2.1).
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        code_size: int,
        encoder: Any,
        known: Sizes,
        *,
        cell: OwnCell = None,
        hidden_size: OwnSize = None,
        num_layers: OwnLayers = None,
        teacher_forcing: Annotated[bool, Opt("a step reads the one before it: in training the true one")] = False,
        reverse: Annotated[bool, Opt("write a row from its end")] = False,
        dropout: o.Dropout = 0.0,
        output_dropout: o.OutputDropout = 0.0,
        backend: o.Backend = "auto",
    ) -> None:
        super().__init__()
        like = Ends({}, 0, 0) if encoder is None else encoder.ends()
        layers = num_layers or like.layers or 1
        if dropout and layers == 1:
            raise ConfigError("dropout: acts between layers, and the decoder has one; use output_dropout, or 0.")
        self.reads_back, self.reverse, self.values = teacher_forcing, reverse, known["values"]
        self.recurrent = Recurrent(
            code_size + (self.values if teacher_forcing else 0),
            hidden_size or like.hidden_size or 128,
            layers,
            dropout=dropout,
            cell=cell or like.cell or "lstm",
            backend=backend,
        )
        self.first = FirstStates(self.recurrent)
        self.begin = self.first.made_for(code_size)
        self.output = SteadyLinear(self.recurrent.output_size, self.values * known["parameters"])
        self.dropout = nn.Dropout(output_dropout)

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        T = int(lengths.max()) if len(lengths) else 0
        return self._all(codes.expand(T, -1, -1), codes, lengths)

    def taught(self, codes: Tensor, lengths: Tensor, values: Tensor) -> Tensor:
        """The same, each step behind the true values (T, N, D) of the one before it."""
        values = reverse_sequences(values, lengths) if self.reverse else values
        before = torch.cat([torch.zeros_like(values[:1]), values[:-1]])
        return self._all(torch.cat([codes.expand(len(values), -1, -1), before], 2), codes, lengths)

    def alone(self, codes: Tensor, lengths: Tensor, mean: Mean) -> Tensor:
        """The same, each step behind what was said of the one before it. mean: values (N, D) of numbers (N, D P)"""
        states = tuple(zip(*(each.unbind() for each in self.first(self.begin, codes)), strict=True))
        before, found = codes.new_zeros(len(codes), self.values), []
        step = IncrementalRNN(self.recurrent)
        for _ in range(int(lengths.max()) if len(lengths) else 0):
            check_deadline()
            states = step(torch.cat([codes, before], 1), states)
            found.append(self.output(self.dropout(states[-1][0])))
            before = mean(found[-1])
        width = self.output.out_features
        numbers = torch.stack(found) if found else codes.new_zeros(0, len(codes), width)
        return reverse_sequences(numbers, lengths) if self.reverse else numbers

    def _all(self, x: Tensor, codes: Tensor, lengths: Tensor) -> Tensor:
        outputs, _ = self.recurrent(x, as_state(self.first(self.begin, codes)), lengths=lengths)
        numbers: Tensor = self.output(self.dropout(outputs))
        return reverse_sequences(numbers, lengths) if self.reverse else numbers
