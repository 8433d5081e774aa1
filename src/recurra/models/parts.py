"""A decoder from its options: which go together, and the parts that they describe."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from recurra.cells import CELLS
from recurra.config import Section, build
from recurra.lower import projects
from recurra.models.bridge import BRIDGES
from recurra.models.decoder import STYLES, Decoder
from recurra.models.encoder import StateSizes
from recurra.models.options import Component
from recurra.models.readout import READOUTS
from recurra.models.scheduled_sampling import SAMPLING_SCHEDULES
from recurra.nn import ATTENTIONS, Embedding, Recurrent


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderOptions:
    """What a decoder is made of, as `models.options` describes each; nothing is left to the encoder's default."""

    embedding_size: int
    cell: str
    size: int
    layers: int
    proj_size: int
    bridge: str
    attention: Component
    style: str | None
    input_feeding: bool
    readout: str | None
    readout_size: int | None
    copying: bool
    tied: bool
    sampling: Component | None
    embedding_dropout: float
    dropout: float
    variational_dropout: float
    zoneout: float
    output_dropout: float
    init: str
    forget_bias: float | None
    backend: str

    @property
    def attends(self) -> bool:
        return _word(self.attention) != "none"

    @property
    def style_word(self) -> str:
        return self.style or ("bahdanau" if self.attends else "sutskever")

    @property
    def readout_word(self) -> str:
        return self.readout or STYLES[self.style_word].readout

    @property
    def width(self) -> int:
        """Numbers in the decoder's output h."""
        return self.proj_size if projects(CELLS[self.cell]) else self.size

    @property
    def readout_width(self) -> int:
        """D: numbers that the output layer reads."""
        if self.readout_word == "state":
            return self.width
        return self.readout_size or (self.embedding_size if self.tied else self.width)

    def problems(self) -> list[str]:
        """A sentence for each option that has no effect beside the others. Raises ConfigError for an unknown word."""
        style, word = STYLES[self.style_word], self.style_word
        found = []
        if self.attends and style.attends is None:
            found.append(f"style: {word} has no attention; use bahdanau or luong, or set attention: none.")
        if not self.attends and style.attends:
            found.append(f"attention: none, and style {word} needs one; use sutskever or cho, or name an attention.")
        if self.input_feeding and word != "luong":
            found.append(f"input_feeding: has no effect in style {word}; use luong, or leave it out.")
        if self.copying and not self.attends:
            found.append("copying: points with the attention, and there is none; name an attention.")
        if self.bridge == "zeros" and word == "sutskever":
            found.append(
                "bridge: zeros, and in style sutskever nothing else is known of the source; use tanh or linear."
            )
        return found + self._readout_problems(word)

    def _readout_problems(self, style: str) -> list[str]:
        found = []
        READOUTS[self.readout_word]
        if style == "sutskever" and self.readout_word != "state":
            found.append(f"readout: {self.readout_word} reads a context, and style sutskever has none; leave it out.")
        if style == "luong" and self.readout_word == "state":
            found.append("readout: state leaves out the context, all that attention gives in style luong; use tanh.")
        if self.readout_word == "state" and self.readout_size is not None:
            found.append(
                f"readout_size: has no effect, the readout is the state of {self.width} numbers; leave it out."
            )
        elif self.tied and self.readout_width != self.embedding_size:
            which = "decoder's state" if self.readout_word == "state" else "readout"
            found.append(
                f"tie: the table has vectors of embedding_size = {self.embedding_size} numbers and the {which} has "
                f"{self.readout_width}; make them equal, or use another readout, such as tanh."
            )
        return found


def make_decoder(embedding: Embedding, source: StateSizes, options: DecoderOptions) -> Decoder:
    """The decoder over a source of these sizes. Raises ConfigError, as its parts do."""
    style = STYLES[options.style_word]
    memory_size = source.output if style.attends else source.summary
    attention = build(options.attention, ATTENTIONS, options.width, memory_size)
    context_size = attention.context_size if attention else source.summary * style.repeats_summary
    D = options.readout_width
    fed = D if options.input_feeding else 0 if style.attends == "after" else context_size
    recurrent = _recurrent(options, options.embedding_size + fed)
    readout = READOUTS[options.readout_word]((options.width, options.embedding_size, context_size), D)
    output = nn.Linear(D, embedding.weight.shape[0])
    if options.tied:
        output.weight = embedding.weight
    return Decoder(
        style=style,
        embedding=embedding,
        recurrent=recurrent,
        bridge=BRIDGES[options.bridge](source, _starts_with(recurrent)),
        attention=attention,
        readout=readout,
        output=output,
        gate=nn.Linear(context_size + options.width + options.embedding_size, 1) if options.copying else None,
        input_feeding=options.input_feeding,
        sampling=None if options.sampling is None else build(options.sampling, SAMPLING_SCHEDULES),
        embedding_dropout=options.embedding_dropout,
        output_dropout=options.output_dropout,
    )


def _recurrent(options: DecoderOptions, input_size: int) -> Recurrent:
    return Recurrent(
        input_size,
        options.size,
        options.layers,
        dropout=options.dropout if options.layers > 1 else 0.0,
        proj_size=options.proj_size,
        cell=options.cell,
        variational_dropout=options.variational_dropout,
        zoneout=options.zoneout,
        init=options.init,
        forget_bias=options.forget_bias,
        backend=options.backend,
    )


def _starts_with(layers: Recurrent) -> StateSizes:
    states = dict(zip(layers.cell.states, layers.state_sizes(), strict=True))
    return StateSizes(states, layers.num_layers, layers.output_size, layers.output_size, layers.cell.together)


def _word(component: Component) -> str:
    """The word of a component, however it is written."""
    if isinstance(component, str):
        return component
    options = component.options if isinstance(component, Section) else component
    return str(options["name"])
