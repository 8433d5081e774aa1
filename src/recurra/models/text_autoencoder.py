"""Inputs, an encoder, a code, and a decoder that writes the text again, token by token, from the code alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction, most_steps
from recurra.base.deadline import check_deadline
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.config import build, located
from recurra.engine import sequence_mask
from recurra.models.autoencoder import made_latent, refuse_pooling
from recurra.models.contract import STAND_INS, Decoder, DecodingState, Encoded, Ends, Problems, Sizes
from recurra.models.decoders import DECODERS
from recurra.models.encoder_decoder import shared_table
from recurra.models.encoders import ENCODERS
from recurra.models.inputs import INPUTS
from recurra.models.latents import LATENTS, Coded
from recurra.models.options import Component
from recurra.nn import POOLS, Embedding, Recurrent

# Steps of a text, which nobody knows before.
SEVERAL = 2
# Options of recurrent layers that their shapes do not show.
OF_LAYERS = ("dropout", "variational_dropout", "zoneout", "init", "forget_bias", "backend")


class TextAutoencoder(nn.Module):
    """A text to its code (N, Z), and to the decoder the code is a source of one step, which is all that it knows.

    With a code that is drawn it is the sequence VAE of Bowman et al. 2016, arXiv:1511.06349; with a plain one the
    sequence autoencoder of Dai & Le 2015, arXiv:1511.01432, but for its code, which there is the encoder's last state.
    There encoder and decoder are one network (section 2): share_layers, with `tie: all` for the vectors of tokens, so
    that what a classifier begins with has learned to tell the next token as well.
    sizes: "tokens" and "target", of the vocabulary; "code" Z; and what the code counts
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer", INPUTS)] = "tokens",
        encoder: Annotated[Component, OneOf("encoder, whose summary becomes the code", ENCODERS)] = "recurrent",
        latent: Annotated[Component, OneOf("what the code is like", LATENTS)] = "plain",
        decoder: Annotated[Component, OneOf("decoder, which writes the text", DECODERS)] = "recurrent",
        pooling: Annotated[
            str, Opt("how what the encoder says of several steps becomes one vector; last: its summary", choices=POOLS)
        ] = "last",
        share_layers: Annotated[bool, Opt("the decoder's recurrent layers are the encoder's (Dai & Le 2015)")] = False,
    ) -> None:
        super().__init__()
        self.code_size, self.pooling = sizes["code"], pooling
        problems = Problems()
        widths: Sequence[int] = STAND_INS
        options = build(decoder, DECODERS)
        table = Embedding(sizes["target"], options.embedding_size)
        with problems.collected():
            with located(decoder):
                shared = (shared_table(table, inputs, sizes),) if options.tie == "all" else ()
            self.inputs = build(inputs, INPUTS, sizes, *shared)
            widths = (self.inputs.output_size,)
        problems.of_every(widths, lambda width: self._make_above(width, encoder, latent, sizes))
        with problems.collected(), located(decoder):
            self.decoder = options.make(table, self._ends())
        problems.raise_all()
        if share_layers:
            self._share_layers()

    def _share_layers(self) -> None:
        """Raises ConfigError where encoder and decoder could not be one network."""
        ours, theirs = (getattr(one, "recurrent", None) for one in (self.encoder, self.decoder))
        if not isinstance(ours, Recurrent) or not isinstance(theirs, Recurrent):
            raise ConfigError("share_layers: expected encoder and decoder recurrent; or set share_layers: false.")
        shapes = [[tuple(p.shape) for p in one.parameters()] for one in (ours, theirs)]
        if ours.cell.name != theirs.cell.name or shapes[0] != shapes[1]:
            raise ConfigError(
                "share_layers: the layers of encoder and decoder have other shapes; set model.encoder.bidirectional: "
                "false, as many layers of one cell and size, embedding_size of both alike, and model.decoder.style: "
                "sutskever, which reads nothing beside a token."
            )
        if found := [name for name in OF_LAYERS if getattr(ours, name) != getattr(theirs, name)]:
            raise ConfigError(
                f"share_layers: the layers are the encoder's, so that model.decoder has no {', '.join(found)} of its "
                "own; say there what model.encoder says."
            )
        self.decoder.recurrent = ours

    def _ends(self) -> Ends:
        """What the decoder starts with: the code, and no state; what its options leave open is the encoder's."""
        encoder = getattr(self, "encoder", None)  # None where it was refused
        like = Ends({}, 0, 0) if encoder is None else encoder.ends()
        return Ends({}, like.layers, self.code_size, cell=like.cell, hidden_size=like.hidden_size)

    def _make_above(self, width: int, encoder: Component, latent: Component, sizes: Sizes) -> None:
        self.encoder = build(encoder, ENCODERS, width)
        refuse_pooling(self.encoder, self.pooling, SEVERAL)
        self.pool = POOLS[self.pooling](self.encoder.output_size)
        self.latent = made_latent(latent, self.pool.output_size, sizes)

    def forward(self, batch: Batch) -> Prediction:
        """Teacher forcing, as `EncoderDecoder.forward`, and "codes" (N, Z), "cost" (N,), "part.NAME" (N,) of the code.

        batch: what the inputs read, lengths (N,), inputs["target"] (S, N), inputs["target_lengths"] (N,), and "draws"
        (N, Z) of N(0, 1), for a code that is drawn
        """
        coded = self.code(batch)
        more = {f"part.{name}": part for name, part in coded.parts.items()}
        if coded.cost is not None:
            more["cost"] = coded.cost
        return Prediction({**self.told(coded.codes, batch), "codes": coded.best, **more})

    def told(self, codes: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The decoder's outputs, under teacher forcing, from codes (N, Z)."""
        found = self._writer(_source(codes), batch.inputs["target"], batch.inputs["target_lengths"], None)
        return {name: value for name, value in found.items() if name != "attention"}

    def code(self, batch: Batch) -> Coded:
        """The code of each text, with what it costs."""
        check_deadline()
        x, lengths = self.inputs(batch)
        encoded = self.encoder(x, lengths, {})
        real = sequence_mask(encoded.lengths, len(encoded.outputs))
        summary = self.pool(encoded.outputs, encoded.summary, real)
        found: Coded = self.latent(summary, batch.inputs.get("draws"))
        return found

    def codes(self, batch: Batch) -> Tensor:
        """(N, Z), without anything drawn."""
        return self.code(batch).best

    def start(self, batch: Batch) -> DecodingState:
        """The decoder's state before its first step."""
        return self.begun(self.codes(batch))

    def begun(self, codes: Tensor) -> DecodingState:
        """The same of texts with these codes (N, Z)."""
        return self._writer.start(_source(codes), None)

    def step(self, tokens: Tensor, state: DecodingState) -> tuple[Tensor, DecodingState]:
        """Log-probabilities (B, V) of the tokens after `tokens` (B,), and the state after them. Never any dropout."""
        return self._writer.step(tokens, state)

    def most_steps(self, state: DecodingState) -> int | Tensor | None:
        """How many can follow, of each row (N,) or of all; None: any number."""
        return most_steps(self.decoder, state)

    def select(self, state: DecodingState, rows: Tensor) -> DecodingState:
        """The rows (K,) of the state, in this order; a row may come several times, or not at all."""
        return state.select(rows)

    def cannot_stream(self) -> list[str]:
        """Why it cannot read a text piece by piece."""
        return ["model.latent: the code stands for the whole text."]

    @property
    def _writer(self) -> Decoder:
        return cast(Decoder, self.decoder)


def _source(codes: Tensor) -> Encoded:
    """Codes (N, Z) as a source of one step."""
    one = torch.ones(len(codes), dtype=torch.int64, device=codes.device)
    return Encoded(codes.unsqueeze(0), one, codes, {})
