"""Options that components share: what each means and its bounds, stated once. Defaults are the components' own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from recurra.base.option import Opt
from recurra.cells import CELLS
from recurra.config import Section
from recurra.engine import BACKENDS
from recurra.nn.initial import INITIALIZERS
from recurra.nn.merge import MERGES
from recurra.nn.transformer.layers import ACTIVATIONS, NORMS

# No useful network is wider or deeper; up to here, counting the parameters before they are allocated takes no time.
WIDEST, DEEPEST = 65_536, 64

Component = Section | Mapping[str, Any] | str

# -- recurrent layers --
CellName = Annotated[str, Opt("recurrent cell; `recurra explain cell` shows each", choices=CELLS)]
HiddenSize = Annotated[int, Opt("units per layer and direction", ge=1, le=WIDEST)]
NumLayers = Annotated[int, Opt("number of recurrent layers", ge=1, le=DEEPEST)]
ProjSize = Annotated[int, Opt("units after the projection, for lstm_projected; 0 is none", ge=0, le=WIDEST)]
Bidirectional = Annotated[bool, Opt("read in both directions")]
Merge = Annotated[str, Opt("how two directions become one output", choices=MERGES)]
LockedDropoutOption = Annotated[
    bool, Opt("the component's dropout keeps one mask for all steps (Merity et al. 2017, section 4.2)")
]

EmbeddingSize = Annotated[int, Opt("embedding dimension: numbers in a token's vector", ge=1, le=WIDEST)]
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
Init = Annotated[str, Opt("initialization of recurrent weights", choices=INITIALIZERS)]
ForgetBias = Annotated[float | None, Opt("initial bias of the forget gates; null leaves it random", ge=-100, le=100)]
Backend = Annotated[
    str,
    Opt(
        "executor of the cells, but for a decoder that feeds back; auto takes the fastest", choices=("auto", *BACKENDS)
    ),
]


# -- layers of attention --
Positions = Literal["sinusoid", "learned", "rotary", "none"]
HiddenNumbers = Annotated[int, Opt("numbers of a step", ge=1, le=WIDEST)]
NumHeads = Annotated[int, Opt("heads of attention; a divisor of hidden_size", ge=1, le=256)]
FeedForwardSize = Annotated[
    int | None, Opt("units of the feed-forward part; null: four times hidden_size", ge=1, le=WIDEST)
]
Activation = Annotated[str, Opt("of the feed-forward part; reglu, geglu and swiglu are gated", choices=ACTIVATIONS)]
Norm = Annotated[str, Opt("layer: of mean and deviation; rms: of size alone", choices=tuple(NORMS))]
NormFirst = Annotated[bool, Opt("norms in front of each part, and behind the last layer; false: behind")]
PositionsOption = Annotated[Positions, Opt("how steps know where they stand; rotary: in attention, by distance")]
MaxPositions = Annotated[
    int | None, Opt("steps that have a position, with positions: learned; null: 512", ge=1, le=1_000_000)
]
PartDropout = Annotated[float, Opt("dropout of inputs and behind each part", ge=0, lt=1)]
AttentionDropout = Annotated[float, Opt("dropout of the weights of attention", ge=0, lt=1)]


def word_of(component: Component) -> str:
    """The word of a component, however it is written."""
    if isinstance(component, str):
        return component
    options = component.options if isinstance(component, Section) else component
    return str(options["name"])
