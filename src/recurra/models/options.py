"""Options that models share: what each means and its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from recurra.base.option import OneOf, Opt
from recurra.cells import CELLS
from recurra.config import Section
from recurra.engine import BACKENDS
from recurra.models.bridge import BRIDGES
from recurra.models.classifier import DEEPEST, WIDEST
from recurra.models.decoder import STYLES
from recurra.models.readout import READOUTS
from recurra.models.scheduled_sampling import SAMPLING_SCHEDULES
from recurra.nn import ATTENTIONS
from recurra.nn.initial import INITIALIZERS

Component = Section | Mapping[str, Any] | str

EmbeddingSize = Annotated[int, Opt("numbers in a token's vector", ge=1, le=WIDEST)]
DecoderCell = Annotated[str | None, Opt("the decoder's recurrent cell; null is the encoder's", choices=CELLS)]
DecoderSize = Annotated[int | None, Opt("units of a decoder layer; null is hidden_size", ge=1, le=WIDEST)]
DecoderLayers = Annotated[int | None, Opt("layers of the decoder; null is num_layers", ge=1, le=DEEPEST)]
DecoderProjection = Annotated[int, Opt("units after the decoder's projection, for lstm_projected", ge=0, le=WIDEST)]
Bridge = Annotated[str, Opt("how the encoder's last states become the decoder's first", choices=BRIDGES)]
Attention = Annotated[Component, OneOf("what the decoder looks at in the source, at each step", ATTENTIONS)]
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
    Component | None, OneOf("how often training shows the true token and not the model's own", SAMPLING_SCHEDULES)
]
WordDropout = Annotated[
    float, Opt("share of the vocabulary without a vector in a step, in all places (Gal & Ghahramani 2016)", ge=0, lt=1)
]
EmbeddingDropout = Annotated[float, Opt("dropout on the token vectors", ge=0, lt=1)]
Dropout = Annotated[float, Opt("dropout between recurrent layers; needs two of them", ge=0, lt=1)]
VariationalDropout = Annotated[
    float, Opt("dropout inside the recurrent layers, one mask a sequence (Gal & Ghahramani 2016)", ge=0, lt=1)
]
Zoneout = Annotated[float, Opt("probability that a state keeps its old value (Krueger et al. 2017)", ge=0, lt=1)]
OutputDropout = Annotated[float, Opt("dropout before the output layer", ge=0, lt=1)]
Init = Annotated[str, Opt("how recurrent weights start", choices=INITIALIZERS)]
ForgetBias = Annotated[
    float | None, Opt("bias of the forget gates at the start; null leaves it random", ge=-100, le=100)
]
Backend = Annotated[
    str,
    Opt("what runs the cells, but for a decoder that feeds back; auto takes the fastest", choices=("auto", *BACKENDS)),
]
Tie = Literal["none", "target", "all"]
