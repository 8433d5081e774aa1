"""A decoder of attention layers: its options, and the parts that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.models import options as o
from recurra.models.contract import Ends
from recurra.models.decoders import options as d
from recurra.models.decoders.attending import AttendingDecoder
from recurra.nn import Embedding, SteadyLinear
from recurra.nn.transformer import TransformerDecoderLayer
from recurra.nn.transformer.layers import made_norm
from recurra.nn.transformer.positions import Places, unused_positions


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerDecoder:
    """Layers of attention to what has been written and to the source: a Transformer's decoder, for any encoder.

    It may have more or fewer layers than the encoder: a deep encoder with a shallow decoder answers faster (Kasai et
    al. 2021, arXiv:2006.10369). Nothing is computed for padding; when it writes, keys and values of the source are
    computed once, those of each step kept. norm_first trains without warm-up (Xiong et al. 2020, arXiv:2002.04745).
    Sources: Vaswani et al. 2017, arXiv:1706.03762; Press & Wolf 2017, arXiv:1608.05859 (tie).
    """

    hidden_size: Annotated[int, Opt("numbers of a step, and of a token's vector", ge=1, le=o.WIDEST)] = 128
    num_layers: Annotated[int, Opt("layers of the decoder", ge=1, le=o.DEEPEST)] = 2
    num_heads: o.NumHeads = 4
    feed_forward_size: o.FeedForwardSize = None
    activation: o.Activation = "gelu"
    norm: o.Norm = "layer"
    norm_first: o.NormFirst = True
    positions: o.PositionsOption = "sinusoid"
    max_positions: o.MaxPositions = None
    tie: d.Tie = "target"
    dropout: o.PartDropout = 0.1
    attention_dropout: o.AttentionDropout = 0.0

    @property
    def embedding_size(self) -> int:
        """Numbers of a token's vector."""
        return self.hidden_size

    def make(self, embedding: Embedding, source: Ends) -> AttendingDecoder:
        """The decoder over a source that ends so; embedding: of the target's tokens.

        Raises ConfigError for options that cannot take effect.
        """
        if found := unused_positions(self.positions, self.max_positions):
            raise ConfigError(found)
        size = self.hidden_size
        blocks = [self._layer() for _ in range(self.num_layers)]
        output = SteadyLinear(size, embedding.weight.shape[0])
        if self.tie != "none":
            output.weight = embedding.weight
        return AttendingDecoder(
            embedding=embedding,
            project=nn.Identity() if source.output == size else SteadyLinear(source.output, size),
            places=Places(size, self.positions, self.max_positions),
            blocks=blocks,
            norm=made_norm(self.norm, size, 1e-5, bias=True) if self.norm_first else nn.Identity(),
            output=output,
            dropout=self.dropout,
        )

    def _layer(self) -> TransformerDecoderLayer:
        return TransformerDecoderLayer(
            self.hidden_size,
            self.num_heads,
            self.feed_forward_size or 4 * self.hidden_size,
            self.dropout,
            self.activation,
            norm_first=self.norm_first,
            norm=self.norm,
            attention_dropout=self.attention_dropout,
            causal=True,
            rotary=self.positions == "rotary",
        )
