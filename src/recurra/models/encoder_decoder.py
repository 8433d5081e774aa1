"""Inputs, an encoder and a decoder: a sequence, a vector or a label to another sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction, most_steps
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf
from recurra.config import build, located
from recurra.models.contract import STAND_INS, Decoder, DecoderOptions, DecodingState, Encoded, Ends, Problems, Sizes
from recurra.models.decoders import DECODERS
from recurra.models.encoders import ENCODERS
from recurra.models.encoders.awd import refuse_backward_layer
from recurra.models.inputs import INPUTS
from recurra.models.inputs.images import refuse_other_shape
from recurra.models.options import Component, word_of
from recurra.nn import Embedding

# Ends in the place of those of an encoder that is refused: two that have nothing in common.
STAND_IN_ENDS = (Ends({"h": 1}, 1, 1), Ends({"h": 60, "c": 60}, 2, 60))


class EncoderDecoder(nn.Module):
    """What a source is to what a decoder says of it, token by token.

    sizes: what the inputs need, by name, and "target": tokens of the target's vocabulary
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer of the source", INPUTS)] = "tokens",
        encoder: Annotated[Component, OneOf("encoder of the source", ENCODERS)] = "recurrent",
        decoder: Annotated[Component, OneOf("decoder, which writes the target", DECODERS)] = "recurrent",
    ) -> None:
        super().__init__()
        problems = Problems()
        widths: Sequence[int] = STAND_INS
        options = build(decoder, DECODERS)
        table = Embedding(sizes["target"], options.embedding_size)
        with problems.collected():
            with located(decoder):
                shared = (shared_table(table, inputs, sizes),) if options.tie == "all" else ()
            self.inputs = build(inputs, INPUTS, sizes, *shared)
            widths = (self.inputs.output_size,)
        problems.of_every(widths, lambda width: self._make_above(width, encoder, decoder, options, table))
        problems.raise_all()

    def _make_above(
        self, width: int, encoder: Component, decoder: Component, options: DecoderOptions, table: Embedding
    ) -> None:
        """The encoder over inputs of this width, and the decoder."""
        problems = Problems()
        ends: Sequence[Ends] = STAND_IN_ENDS
        with problems.collected():
            self.encoder = build(encoder, ENCODERS, width)
            with located(encoder):
                refuse_backward_layer(self.encoder)
                refuse_other_shape(getattr(self, "inputs", None), self.encoder)
            ends = (self.encoder.ends(),)
        problems.of_every(ends, lambda source: self._make_decoder(decoder, options, table, source))
        problems.raise_all()

    def _make_decoder(self, decoder: Component, options: DecoderOptions, table: Embedding, source: Ends) -> None:
        with located(decoder):
            self.decoder = options.make(table, source)

    def forward(self, batch: Batch) -> Prediction:
        """Teacher forcing: for each target token that is read, what should come next.

        batch: what the inputs read, lengths (N,), inputs["target"] (S, N), inputs["target_lengths"] (N,), and with
        copying inputs["source_copy"] (T, N): each source token's number in the target vocabulary, or, if it is not in
        it, V + k for the k-th such word of its own source. Such numbers may stand in the target too.
        outputs: "hidden" (S, N, D), "weight" (V, D), "bias" (V,), whose product is the logits; with copying instead
        "log_probs" (S, N, V'), where V' is V and the most words that a source of the batch adds;
        "attention" (S, N, T) if there is any, "coverage_loss" (S, N) if it reads its coverage (See et al., eq. 12).
        What stands beyond the lengths may be anything, and so are outputs there.
        """
        target, lengths = batch.inputs["target"], batch.inputs["target_lengths"]
        return Prediction(self._writer(self._encoded(batch), target, lengths, batch.inputs.get("source_copy")))

    def attention_by_head(self, batch: Batch) -> Tensor | None:
        """(layers, heads, S, N, T) under teacher forcing; None of a decoder without heads."""
        looked = getattr(self.decoder, "attention_by_head", None)
        if looked is None:
            return None
        found: Tensor = looked(self._encoded(batch), batch.inputs["target"], batch.inputs["target_lengths"])
        return found

    def start(self, batch: Batch) -> DecodingState:
        """The decoder's state before its first step: the source is encoded, once."""
        return self._writer.start(self._encoded(batch), batch.inputs.get("source_copy"))

    def step(self, tokens: Tensor, state: DecodingState) -> tuple[Tensor, DecodingState]:
        """Log-probabilities (B, V) of the tokens after `tokens` (B,), and the state after them. Never any dropout."""
        return self._writer.step(tokens, state)

    def best(self, tokens: Tensor, state: DecodingState, k: int) -> tuple[Tensor, Tensor, DecodingState] | None:
        """The k greatest of what `step` says and their tokens (B, k); None of a decoder that has to say all."""
        tell = getattr(self.decoder, "best", None)
        if tell is None:
            return None
        found: tuple[Tensor, Tensor, DecodingState] | None = tell(tokens, state, k)
        return found

    def write_on(
        self, tokens: Tensor, state: DecodingState, *, end: int, left: Tensor, never: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, Tensor, DecodingState] | None:
        """Steps of a greedy search at once; None of a decoder that is asked for each. never: tokens not to be said."""
        go_on = getattr(self.decoder, "write_on", None)
        if go_on is None:
            return None
        found: tuple[Tensor, Tensor, Tensor, DecodingState] | None = go_on(
            tokens, state, end=end, left=left, never=never
        )
        return found

    def most_steps(self, state: DecodingState) -> int | Tensor | None:
        """How many can follow, of each row (N,) or of all; None: any number."""
        return most_steps(self.decoder, state)

    def select(self, state: DecodingState, rows: Tensor) -> DecodingState:
        """The rows (K,) of the state, in this order; a row may come several times, or not at all."""
        return state.select(rows)

    @property
    def _writer(self) -> Decoder:
        return cast(Decoder, self.decoder)

    def _encoded(self, batch: Batch) -> Encoded:
        x, lengths = self.inputs(batch)
        found: Encoded = self.encoder(x, lengths, {})
        return found


def shared_table(table: Embedding, inputs: Component, sizes: Sizes) -> Embedding:
    """The target's table for the source too. Raises ConfigError where the two sides differ."""
    if word_of(inputs) != "tokens":
        raise ConfigError(f"tie: all shares the table with inputs of tokens, and they are {word_of(inputs)}.")
    if sizes["tokens"] != sizes["target"]:
        raise ConfigError(
            f"tie: all needs one vocabulary for both sides, and they have {sizes['tokens']} and "
            f"{sizes['target']} tokens; share the vocabulary, or use target."
        )
    return table
