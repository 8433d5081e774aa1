"""From an encoded source to a target, token by token.

recurrent           layers of any cell; its options
decoder             all steps at once, or one after another
bridge              the encoder's last states to the decoder's first
readout             what the output layer reads
scheduled_sampling  how often training shows the true token
"""

from __future__ import annotations

from recurra.base.registry import Registry
from recurra.models.decoders.recurrent import RecurrentDecoder

DECODERS: Registry[type[RecurrentDecoder]] = Registry("decoder", "recurra.decoders")
DECODERS.add("recurrent", RecurrentDecoder)

__all__ = ["DECODERS", "RecurrentDecoder"]
