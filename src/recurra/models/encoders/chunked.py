"""A Transformer in chunks: each step sees its chunk, some steps before it, and some that come later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Encoded, Ends, Layer, Step
from recurra.nn import SteadyLinear
from recurra.nn.dropout import QuickDropout
from recurra.nn.transformer import TransformerEncoderLayer
from recurra.nn.transformer.blocks import Blocks, Chunks, layer_of
from recurra.nn.transformer.layers import NORMS, of_kind
from recurra.nn.transformer.positions import Places

# What stands before a piece is called so among the states: inputs that wait, their number, and steps that were said.
WAITING, NUMBER, STEPS = "waiting_l0", "number_l0", "steps_l0"


class Chunked(nn.Module):
    """Layers of attention in chunks that see ahead: x (T, N, I) to outputs (T, N, hidden_size).

    A step sees its chunk of `chunk` steps, the `left` steps before that and the `ahead` steps behind it. In each layer
    those behind are computed anew for each chunk, from what this sees, so that layers on one another see no further
    (Shi et al. 2021, "Emformer", arXiv:2010.10759, section 2.2, without its memory). So a recording may come in pieces:
    a step waits for chunk + ahead - 1 later ones at most, and pieces of any size have the bits of the whole.
    Norms stand in front of each part, and one behind the last layer. The summary is the mean of all steps.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        *,
        chunk: Annotated[int, Opt("steps that are said together, and see one another", ge=1, le=4096)] = 16,
        ahead: Annotated[int, Opt("steps behind a chunk that it sees; later ones are waited for", ge=0, le=4096)] = 4,
        left: Annotated[int, Opt("steps before a chunk that it sees", ge=0, le=65_536)] = 64,
        hidden_size: o.HiddenNumbers = 128,
        num_layers: o.NumLayers = 2,
        num_heads: o.NumHeads = 4,
        feed_forward_size: o.FeedForwardSize = None,
        activation: o.Activation = "gelu",
        norm: o.Norm = "layer",
        positions: Annotated[
            Literal["rotary", "sinusoid", "none"],
            Opt("how steps know where they stand; rotary: in attention, by distance, so in recordings of any length"),
        ] = "rotary",
        dropout: o.PartDropout = 0.1,
        attention_dropout: o.AttentionDropout = 0.0,
    ) -> None:
        super().__init__()
        self.chunks, self.input_size, self.output_size = Chunks(chunk, ahead, left), input_size, hidden_size
        self.project = SteadyLinear(input_size, hidden_size) if input_size != hidden_size else nn.Identity()
        self.places = Places(hidden_size, positions)
        self.blocks = nn.ModuleList(
            TransformerEncoderLayer(
                hidden_size,
                num_heads,
                feed_forward_size or 4 * hidden_size,
                dropout,
                activation,
                norm_first=True,
                norm=norm,
                attention_dropout=attention_dropout,
                rotary=positions == "rotary",
            )
            for _ in range(num_layers)
        )
        self.norm = NORMS[norm](hidden_size, eps=1e-5)
        self.dropout = QuickDropout(dropout)

    @property
    def waits(self) -> int:
        """Later steps that the first step of a chunk waits for."""
        return self.chunks.steps + self.chunks.ahead - 1

    def forward(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> Encoded:
        rows, blocks, _ = self._said(x, lengths, {}, last=True)
        parts = torch.split(rows, list(blocks.lengths))
        means = [part.mean(0) if len(part) else part.new_zeros(part.shape[1]) for part in parts]
        summary = torch.stack(means) if means else rows.new_zeros(0, self.output_size)
        return Encoded(blocks.padded(rows, len(x)), lengths, summary, {})

    def piece(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor], *, last: bool) -> Encoded:
        """What can be said with a piece more, whose lengths are of that; its states have the steps that wait.

        last: nothing more comes. The summary is that of nothing: zeros.
        """
        x, lengths = self._with_those_that_wait(x, lengths, states)
        rows, blocks, after = self._said(x, lengths, states, last=last)
        said = torch.tensor(blocks.lengths, dtype=torch.int64)
        after[STEPS] = (said + _numbers(states, STEPS, x)).to(x).unsqueeze(1)
        after |= self._waiting(x, lengths.tolist(), blocks.lengths)
        return Encoded(
            blocks.padded(rows), said.to(lengths.device), rows.new_zeros(x.shape[1], self.output_size), after
        )

    def _said(
        self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor], *, last: bool
    ) -> tuple[Tensor, Blocks, dict[str, Tensor]]:
        """Outputs (R, M), sequence by sequence, where they stand, and the keys and values that later steps see."""
        N, each, before = x.shape[1], [int(n) for n in lengths.tolist()], _numbers(states, STEPS, x).tolist()
        blocks = Blocks.of(each, before, self.chunks, last=last)
        y = self.project(x.reshape(len(x) * N, self.input_size)[blocks.source.to(x.device)])
        y, after = self.dropout(self.places(y, blocks.at.to(x.device))), dict[str, Tensor]()
        for k, block in enumerate(of_kind(TransformerEncoderLayer, self.blocks)):
            keys, values = (states.get(f"{name}_l{k}") for name in "kv")
            cache = None if keys is None or values is None else (self._rows(keys), self._rows(values))
            y, *kept = layer_of(block, y, blocks, cache)
            after |= {f"{name}_l{k}": one.reshape(N, -1) for name, one in zip("kv", kept, strict=True)}
        return self.norm(y[blocks.own.to(x.device)]), blocks, after

    def _rows(self, state: Tensor) -> Tensor:
        return state.reshape(-1, self.output_size)

    def _waiting(self, x: Tensor, lengths: list[int], said: tuple[int, ...]) -> dict[str, Tensor]:
        """The steps of which nothing was said."""
        number = [length - done for length, done in zip(lengths, said, strict=True)]
        found = x.new_zeros(x.shape[1], self.waits, self.input_size)
        for n, (length, done) in enumerate(zip(lengths, said, strict=True)):
            found[n, : length - done] = x[done:length, n]
        return {WAITING: found.flatten(1), NUMBER: x.new_tensor(number).unsqueeze(1)}

    def _with_those_that_wait(self, x: Tensor, lengths: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """A piece behind the steps that waited for it."""
        if WAITING not in states:
            return x, lengths
        N, number, new = x.shape[1], _numbers(states, NUMBER, x).tolist(), [int(n) for n in lengths.tolist()]
        waiting = states[WAITING].view(N, self.waits, self.input_size)
        each = [old + came for old, came in zip(number, new, strict=True)]
        found = x.new_zeros(max(each, default=0), N, self.input_size)
        for n in range(N):
            found[: number[n], n], found[number[n] : each[n], n] = waiting[n, : number[n]], x[: new[n], n]
        return found, torch.tensor(each, dtype=torch.int64)

    def state_sizes(self) -> Mapping[str, int]:
        return {}

    def incremental(self) -> Step:
        raise ConfigError(self.cannot_stream())

    def ends(self) -> Ends:
        return Ends({}, 0, self.output_size)

    def layers(self) -> list[Layer]:
        return [dict(block.named_parameters()) for block in self.blocks]

    def cannot_stream(self) -> list[str]:
        return [
            "name: chunked waits for steps that come later, which a stream of speech with an end alone allows; take "
            "recurrent, in one direction, or transformer with causal: true."
        ]


def _numbers(states: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """(N,) whole numbers of a state, zeros where it is absent."""
    if name not in states:
        return torch.zeros(x.shape[1], dtype=torch.int64)
    return states[name][:, 0].cpu().to(torch.int64)
