"""Transformer layers that compute no padding: lengths for masks, and a row has the same bits alone and in a batch.

rows       sequences one behind the other, without padding      positions  where a step stands: sinusoids, rotation
attention  steps to weighted means of the steps that they see   layers     drop-in for torch.nn's encoder layers
decoder_layers  the same for a target that reads a source
"""

from __future__ import annotations

from recurra.nn.transformer.attention import CrossAttention, SelfAttention
from recurra.nn.transformer.decoder_layers import TransformerDecoder, TransformerDecoderLayer
from recurra.nn.transformer.layers import TransformerEncoder, TransformerEncoderLayer
from recurra.nn.transformer.positions import rotated, sinusoids
from recurra.nn.transformer.rows import Pairs, Rows

__all__ = [
    "CrossAttention",
    "Pairs",
    "Rows",
    "SelfAttention",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "rotated",
    "sinusoids",
]
