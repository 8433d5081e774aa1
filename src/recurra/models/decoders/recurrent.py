"""A decoder of recurrent layers: its options, which of them go together, and the parts that they describe."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.config import build
from recurra.lower import projects
from recurra.models import options as o
from recurra.models.contract import Ends
from recurra.models.decoders import options as d
from recurra.models.decoders.bridge import BRIDGES
from recurra.models.decoders.decoder import STYLES, Decoder, Style
from recurra.models.decoders.readout import READOUTS
from recurra.models.decoders.scheduled_sampling import SAMPLING_SCHEDULES
from recurra.models.encoders.recurrent import ends_of
from recurra.models.options import word_of
from recurra.nn import ATTENTIONS, Embedding, Recurrent, SteadyLinear


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrentDecoder:
    """Recurrent layers that write the target token by token, and see the source by attention, once, or at each step.

    Sources: Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078; Bahdanau et al. 2015,
    arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025; See et al. 2017, arXiv:1704.04368 (coverage, copying).
    """

    embedding_size: o.EmbeddingSize = 128
    cell: d.DecoderCell = None
    hidden_size: d.DecoderSize = None
    num_layers: d.DecoderLayers = None
    proj_size: o.ProjSize = 0
    bridge: d.Bridge = "tanh"
    attention: d.Attention = "additive"
    style: d.StyleOption = None
    input_feeding: d.InputFeeding = False
    readout: d.Readout = None
    readout_size: d.ReadoutSize = None
    copying: d.Copying = False
    tie: d.Tie = "none"
    scheduled_sampling: d.Sampling = None
    embedding_dropout: o.EmbeddingDropout = 0.0
    dropout: o.Dropout = 0.0
    variational_dropout: o.VariationalDropout = 0.0
    zoneout: o.Zoneout = 0.0
    output_dropout: o.OutputDropout = 0.0
    init: o.Init = "torch"
    forget_bias: o.ForgetBias = None
    backend: o.Backend = "auto"

    def make(self, embedding: Embedding, source: Ends) -> Decoder:
        """The decoder over a source that ends so; embedding: of the target's tokens.

        Raises ConfigError, with all problems at once, for options that cannot take effect together.
        """
        plan = _Plan(self, source)
        if problems := plan.problems():
            raise ConfigError(problems)
        attention = build(self.attention, ATTENTIONS, plan.width, source.output)
        context_size = attention.context_size if attention else source.output * plan.style.repeats_summary
        recurrent = plan.layers(self.embedding_size + plan.fed(context_size))
        sizes = (plan.width, self.embedding_size, context_size)
        readout = READOUTS[plan.readout_word](sizes, plan.readout_width)
        output = SteadyLinear(plan.readout_width, embedding.weight.shape[0])
        if self.tie != "none":
            output.weight = embedding.weight
        return Decoder(
            style=plan.style,
            embedding=embedding,
            recurrent=recurrent,
            bridge=BRIDGES[self.bridge](source, ends_of(recurrent)),
            attention=attention,
            readout=readout,
            output=output,
            gate=SteadyLinear(sum(sizes), 1) if self.copying else None,
            input_feeding=self.input_feeding,
            sampling=None if self.scheduled_sampling is None else build(self.scheduled_sampling, SAMPLING_SCHEDULES),
            embedding_dropout=self.embedding_dropout,
            output_dropout=self.output_dropout,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the options come to, over this source."""

    options: RecurrentDecoder
    source: Ends

    @property
    def attends(self) -> bool:
        return word_of(self.options.attention) != "none"

    @property
    def tied(self) -> bool:
        return self.options.tie != "none"

    @property
    def cell_name(self) -> str:
        return self.options.cell or self.source.cell or "lstm"

    @property
    def units(self) -> int:
        return self.options.hidden_size or self.source.hidden_size or 128

    @property
    def num_layers(self) -> int:
        return self.options.num_layers or self.source.layers or 1  # of a source without layers

    @property
    def style(self) -> Style:
        return STYLES[self.style_word]

    @property
    def style_word(self) -> str:
        return self.options.style or ("bahdanau" if self.attends else "sutskever")

    @property
    def readout_word(self) -> str:
        return self.options.readout or STYLES[self.style_word].readout

    @property
    def width(self) -> int:
        """Numbers in the decoder's output h."""
        return self.options.proj_size if projects(CELLS[self.cell_name]) else self.units

    @property
    def readout_width(self) -> int:
        """D: numbers that the output layer reads."""
        if self.readout_word == "state":
            return self.width
        return self.options.readout_size or (self.options.embedding_size if self.tied else self.width)

    def fed(self, context_size: int) -> int:
        """Numbers that a step reads beside the token's vector."""
        if self.options.input_feeding:
            return self.readout_width
        return 0 if self.style.attends == "after" else context_size

    def layers(self, input_size: int) -> Recurrent:
        options = self.options
        return Recurrent(
            input_size,
            self.units,
            self.num_layers,
            dropout=options.dropout,
            proj_size=options.proj_size,
            cell=self.cell_name,
            variational_dropout=options.variational_dropout,
            zoneout=options.zoneout,
            init=options.init,
            forget_bias=options.forget_bias,
            backend=options.backend,
        )

    def problems(self) -> list[str]:
        """A sentence for each option that has no effect beside the others. Raises ConfigError for an unknown word."""
        style, word = STYLES[self.style_word], self.style_word
        found = []
        if self.attends and style.attends is None:
            found.append(f"style: {word} has no attention; use bahdanau or luong, or set attention: none.")
        if not self.attends and style.attends:
            found.append(f"attention: none, and style {word} needs one; use sutskever or cho, or name an attention.")
        if self.options.input_feeding and word != "luong":
            found.append(f"input_feeding: has no effect in style {word}; use luong, or leave it out.")
        if self.options.copying and not self.attends:
            found.append("copying: points with the attention, and there is none; name an attention.")
        if self.options.bridge == "zeros" and word == "sutskever":
            found.append(
                "bridge: zeros, and in style sutskever nothing else is known of the source; use tanh or linear."
            )
        if self.options.dropout and self.num_layers == 1:
            found.append("dropout: acts between layers, and the decoder has one; use output_dropout, or 0.")
        return found + self._readout_problems(word)

    def _readout_problems(self, style: str) -> list[str]:
        found = []
        READOUTS[self.readout_word]
        if style == "sutskever" and self.readout_word != "state":
            found.append(f"readout: {self.readout_word} reads a context, and style sutskever has none; leave it out.")
        if style == "luong" and self.readout_word == "state":
            found.append("readout: state leaves out the context, all that attention gives in style luong; use tanh.")
        if self.readout_word == "state" and self.options.readout_size is not None:
            found.append(
                f"readout_size: has no effect, the readout is the state of {self.width} numbers; leave it out."
            )
        elif self.tied and self.readout_width != self.options.embedding_size:
            which = "decoder's state" if self.readout_word == "state" else "readout"
            found.append(
                f"tie: the table has vectors of embedding_size = {self.options.embedding_size} numbers and the {which} "
                f"has {self.readout_width}; make them equal, or use another readout, such as tanh."
            )
        return found
