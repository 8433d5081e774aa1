"""From the numbers of each step to outputs that know of other steps.

recurrent  layers of any cell, in one direction or both
identity   no layers
convolutional  convolutions over steps, without a state
dense      feed-forward layers at each step
pictures   convolutions over each step, a picture
image      a residual network over each step, a picture, to a grid of places
lrcn       the same over each step, a frame, and recurrent layers over the frames
convlstm   recurrent layers over each step, a frame, whose products are convolutions
transformer  layers of attention, over all steps or those before
chunked    layers of attention in chunks that see some steps ahead
pretrained  BERT's, which begins with published weights
elmo       layers in each direction over their own, mixed as a task learns it
awd        layers whose states go in and out, with the dropouts of AWD-LSTM, for language models
"""

from __future__ import annotations

from collections.abc import Callable

from recurra.base.registry import Registry
from recurra.models.contract import Encoder
from recurra.models.encoders.awd import AWD
from recurra.models.encoders.chunked import Chunked
from recurra.models.encoders.convlstm import ConvLSTMEncoder
from recurra.models.encoders.convolutional import Convolutional
from recurra.models.encoders.dense import Dense
from recurra.models.encoders.elmo import ELMo
from recurra.models.encoders.identity import Identity
from recurra.models.encoders.image import Image
from recurra.models.encoders.lrcn import LRCN
from recurra.models.encoders.pictures import Pictures
from recurra.models.encoders.pretrained import Pretrained
from recurra.models.encoders.recurrent import RecurrentEncoder
from recurra.models.encoders.transformer import Transformer

ENCODERS: Registry[Callable[..., Encoder]] = Registry("encoder", "recurra.encoders")
ENCODERS.add("recurrent", RecurrentEncoder)
ENCODERS.add("awd", AWD)
ENCODERS.add("identity", Identity)
ENCODERS.add("convolutional", Convolutional)
ENCODERS.add("dense", Dense)
ENCODERS.add("pictures", Pictures)
ENCODERS.add("image", Image)
ENCODERS.add("lrcn", LRCN)
ENCODERS.add("convlstm", ConvLSTMEncoder)
ENCODERS.add("transformer", Transformer)
ENCODERS.add("chunked", Chunked)
ENCODERS.add("pretrained", Pretrained)
ENCODERS.add("elmo", ELMo)

__all__ = [
    "AWD",
    "ENCODERS",
    "LRCN",
    "Chunked",
    "ConvLSTMEncoder",
    "Convolutional",
    "Dense",
    "ELMo",
    "Identity",
    "Image",
    "Pictures",
    "Pretrained",
    "RecurrentEncoder",
    "Transformer",
]
