"""Transformer layers that compute no padding: lengths for masks, and a row has the same bits alone and in a batch.

rows       sequences one behind the other, without padding      positions  where a step stands: sinusoids, rotation
attention  steps to weighted means of the steps that they see   layers     drop-in for torch.nn's encoder layers
"""

from __future__ import annotations

from recurra.nn.transformer.attention import SelfAttention
from recurra.nn.transformer.layers import TransformerEncoder, TransformerEncoderLayer
from recurra.nn.transformer.positions import rotated, sinusoids
from recurra.nn.transformer.rows import Rows

__all__ = [
    "Rows",
    "SelfAttention",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "rotated",
    "sinusoids",
]
