"""Layers of attention from a code to all steps of a row at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.models import options as o
from recurra.models.contract import Sizes
from recurra.nn import SteadyLinear
from recurra.nn.dropout import QuickDropout
from recurra.nn.transformer import Rows, TransformerEncoderLayer
from recurra.nn.transformer.layers import made_norm
from recurra.nn.transformer.positions import Places, unused_positions
from recurra.nn.transformer.whole import through


class TransformerReconstruction(nn.Module):
    """Each step begins with the code and its position; layers in which all steps see one another say all at once.

    Nothing is computed for padding. The layers are those of a Transformer's encoder (Vaswani et al. 2017,
    arXiv:1706.03762); that no step waits for another is the decoder of Gu et al. 2018, arXiv:1711.02281, section 3.
    Raises ConfigError for options that cannot take effect.
    """

    def __init__(
        self,
        code_size: int,
        encoder: Any,
        known: Sizes,
        *,
        hidden_size: o.HiddenNumbers = 128,
        num_layers: o.NumLayers = 2,
        num_heads: o.NumHeads = 4,
        feed_forward_size: o.FeedForwardSize = None,
        activation: o.Activation = "gelu",
        norm: o.Norm = "layer",
        norm_first: o.NormFirst = True,
        positions: o.PositionsOption = "sinusoid",
        max_positions: o.MaxPositions = None,
        dropout: o.PartDropout = 0.0,
        attention_dropout: o.AttentionDropout = 0.0,
    ) -> None:
        super().__init__()
        found = unused_positions(positions, max_positions)
        if positions == "none":
            found.append("positions: none, and nothing else tells one step from another; take sinusoid or learned.")
        if positions == "rotary":
            found.append(
                "positions: rotary tells steps that differ how far apart they are, and here all begin alike; take "
                "sinusoid or learned."
            )
        if found:
            raise ConfigError(found)
        self.project = SteadyLinear(code_size, hidden_size)
        self.places = Places(hidden_size, positions, max_positions)
        self.blocks = nn.ModuleList(
            TransformerEncoderLayer(
                hidden_size,
                num_heads,
                feed_forward_size or 4 * hidden_size,
                dropout,
                activation,
                norm_first=norm_first,
                norm=norm,
                attention_dropout=attention_dropout,
            )
            for _ in range(num_layers)
        )
        self.norm = made_norm(norm, hidden_size, 1e-5, bias=True) if norm_first else nn.Identity()
        self.dropout = QuickDropout(dropout)
        self.output = SteadyLinear(hidden_size, known["values"] * known["parameters"])

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        T = int(lengths.max()) if len(lengths) else 0
        rows = Rows.of(T, lengths)
        each = self.project(codes).index_select(0, rows.place % max(rows.N, 1))
        x = self.dropout(self.places(each, rows.steps))
        return rows.padded(self.output(through(self.blocks, x, rows, self.norm)))
