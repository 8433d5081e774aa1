"""From an encoded source to a target, token by token.

recurrent           layers of any cell; its options
decoder             all steps at once, or one after another
transformer         layers of attention; its options
attending           all steps at once, or one after another, with keys and values kept
bridge              the encoder's last states to the decoder's first
readout             what the output layer reads
scheduled_sampling  how often training shows the true token
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.models.contract import DecoderOptions
from recurra.models.decoders.recurrent import RecurrentDecoder
from recurra.models.decoders.transformer import TransformerDecoder

DECODERS: Registry[type[DecoderOptions]] = Registry("decoder", "recurra.decoders")
DECODERS.add("recurrent", RecurrentDecoder)
DECODERS.add("transformer", TransformerDecoder)

__all__ = ["DECODERS", "RecurrentDecoder", "TransformerDecoder"]
