"""A source sequence to what a decoder reads: an output a position, final states, and one vector of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.engine import reverse_sequences, sequence_mask
from recurra.nn import Embedding, Recurrent


@dataclass(frozen=True, slots=True)
class StateSizes:
    """What a bridge goes from, or to. states: width by name; output: numbers in an output, 0 where there are none;
    summary: numbers in the one vector of it all; together: states that no map sets alone (`Cell.together`)."""

    states: Mapping[str, int]
    layers: int
    output: int
    summary: int
    together: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A source as a decoder sees it.

    outputs: (T, N, M), None where the source is no sequence        lengths: (N,) of it, on its device
    states:  by name (L, N, width), both directions side by side    summary: (N, M), the last layer's final output
    """

    outputs: Tensor | None
    lengths: Tensor | None
    states: Mapping[str, Tensor]
    summary: Tensor


class Encoder(nn.Module):
    """Tokens (T, N) to `Encoded`: embedding and recurrent layers.

    reverse: read each source from its end (Sutskever, Vinyals & Le 2014, arXiv:1409.3215, section 3.3); outputs keep
             the source's order
    """

    def __init__(self, embedding: Embedding, recurrent: Recurrent, *, dropout: float, reverse: bool) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = nn.Dropout(dropout)
        self.recurrent = recurrent
        self.reverse = reverse

    @property
    def sizes(self) -> StateSizes:
        layer = self.recurrent
        names = zip(layer.cell.states, layer.state_sizes(), strict=True)
        widths = {name: width * layer.num_directions for name, width in names}
        return StateSizes(widths, layer.num_layers, layer.output_size, layer.output_size, layer.cell.together)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Encoded:
        """tokens: (T, N) int64, anything where padded      lengths: (N,)"""
        lengths = lengths.to(tokens.device)
        tokens = torch.where(sequence_mask(lengths, len(tokens)), tokens, 0)
        tokens = reverse_sequences(tokens, lengths) if self.reverse else tokens
        outputs, state = self.recurrent(self.dropout(self.embedding(tokens)), lengths=lengths)
        states = state if isinstance(state, tuple) else (state,)
        return Encoded(
            reverse_sequences(outputs, lengths) if self.reverse else outputs,
            lengths,
            {name: self._side_by_side(s) for name, s in zip(self.recurrent.cell.states, states, strict=True)},
            self.recurrent.last(state),
        )

    def _side_by_side(self, state: Tensor) -> Tensor:
        """(layers * directions, N, width) -> (layers, N, directions * width)."""
        layers = state.unflatten(0, (self.recurrent.num_layers, -1))  # type: ignore[no-untyped-call]
        joined: Tensor = layers.transpose(1, 2).flatten(2)
        return joined
