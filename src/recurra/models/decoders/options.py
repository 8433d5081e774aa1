"""Options of decoders: what each means and its bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from recurra.base.option import OneOf, Opt
from recurra.cells import CELLS
from recurra.models.decoders.bridge import BRIDGES
from recurra.models.decoders.decoder import STYLES
from recurra.models.decoders.readout import READOUTS
from recurra.models.decoders.scheduled_sampling import SAMPLING_SCHEDULES
from recurra.models.options import DEEPEST, WIDEST, Component
from recurra.nn import ATTENTIONS

DecoderCell = Annotated[str | None, Opt("the decoder's recurrent cell; null is the encoder's", choices=CELLS)]
DecoderSize = Annotated[int | None, Opt("units of a decoder layer; null is the encoder's", ge=1, le=WIDEST)]
DecoderLayers = Annotated[int | None, Opt("layers of the decoder; null is the encoder's", ge=1, le=DEEPEST)]
Bridge = Annotated[str, Opt("how the encoder's last states become the decoder's first", choices=BRIDGES)]
Attention = Annotated[Component, OneOf("attention mechanism: what each step looks at in the source", ATTENTIONS)]
StyleOption = Annotated[
    str | None,
    Opt("where the source enters the decoder; null is bahdanau with attention, sutskever without", choices=STYLES),
]
InputFeeding = Annotated[bool, Opt("the last readout is part of the next input; only in style luong")]
Readout = Annotated[
    str | None, Opt("what the output layer reads; null is what the style's paper has", choices=READOUTS)
]
ReadoutSize = Annotated[
    int | None,
    Opt("numbers the output layer reads; null is the decoder's width, or embedding_size where tied", ge=1, le=WIDEST),
]
Sampling = Annotated[
    Component | None,
    OneOf("how often training shows the true token and not the model's own", SAMPLING_SCHEDULES),
]
Copying = Annotated[bool, Opt("pointer network: copy source tokens, for words that are rare (See et al. 2017)")]
Tie = Annotated[
    Literal["none", "target", "all"],
    Opt("weight tying: one table for target vectors and output layer; all: for source vectors too (Press & Wolf 2017)"),
]
