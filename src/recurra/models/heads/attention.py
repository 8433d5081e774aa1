"""What is said, unit by unit, by a decoder that looks at all steps; beside it CTC, which keeps them in order."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.config import build, located
from recurra.models import options as o
from recurra.models.contract import STATE, Decoder, Encoded, Ends, Sizes
from recurra.models.decoders import DECODERS
from recurra.models.heads.ctc import BlankShare, begin_on_blank
from recurra.models.options import Component
from recurra.nn import Embedding, SteadyLinear


class AttentionHead(nn.Module):
    """Transcription: a decoder writes the text and looks at all of a recording (Chan et al. 2016, arXiv:1508.01211),
    joined with CTC over the same steps, in training and in the search (Watanabe et al. 2017, section IV).

    Unit 0 is CTC's blank, and begin and end of what the decoder writes. outputs: "logits" (T, N, C) of CTC, and what
    the decoder starts from: "encoded" (T, N, M), "summary" (N, M), "state.*"; of a target what the decoder says of it
    ("hidden", "weight", "bias", ...). `ctc` has the share of CTC.
    Raises ConfigError, when it is attached, for decoder options that speech has no use for.
    """

    predicts_next = False

    def __init__(
        self,
        input_size: int,
        sizes: Sizes,
        table: nn.Parameter | None,
        *,
        decoder: Annotated[Component, OneOf("decoder, which writes the text", DECODERS)] = "recurrent",
        ctc: Annotated[
            float, Opt("share of CTC in the loss, and in the score of a text; it gives words their times", gt=0, lt=1)
        ] = 0.3,
        blank_share: BlankShare = None,
        output_dropout: o.OutputDropout = 0.0,
    ) -> None:
        super().__init__()
        self.component, self.ctc = decoder, ctc
        self.options = build(decoder, DECODERS)
        with located(decoder):
            _refuse_useless(self.options)
        self.embedding = Embedding(sizes["units"], self.options.embedding_size)
        self.dropout = nn.Dropout(output_dropout)
        self.output = SteadyLinear(input_size, sizes["units"])
        self.decoder: nn.Module | None = None
        if blank_share is not None:
            begin_on_blank(self.output, blank_share)

    def attach(self, ends: Ends) -> None:
        """Make the decoder, for an encoder that ends so. Raises ConfigError for options that do not fit it."""
        with located(self.component):
            self.decoder = self.options.make(self.embedding, ends)

    @property
    def writer(self) -> Decoder:
        """The decoder, for those who write."""
        found: Decoder = self.decoder  # type: ignore[assignment]
        return found

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        found = {"logits": self.output(self.dropout(encoded.outputs))}
        if self.training:
            return found
        states = {STATE + name: one for name, one in encoded.states.items()}
        return found | {"encoded": encoded.outputs, "summary": encoded.summary} | states

    def told(self, encoded: Encoded, target: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What the decoder says of a target (U + 1, N) that begins with unit 0, as `Decoder` has it."""
        return self.writer(encoded, target, lengths, None)

    def cannot_stream(self) -> list[str]:
        return ["name: attention looks at all of a recording before it says anything; ctc and transducer can stream."]


def _refuse_useless(options: object) -> None:
    problems = []
    if getattr(options, "copying", False):
        problems.append("copying: copies tokens of a source, and a recording has none; leave it out.")
    if getattr(options, "tie", "none") == "all":
        problems.append("tie: all shares a table with the inputs, and a recording has none; use target.")
    if problems:
        raise ConfigError(problems)
