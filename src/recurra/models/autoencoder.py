"""Inputs, an encoder, a code, and what turns the code back: every model that learns to say again what it read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.deadline import check_deadline
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.config import build
from recurra.engine import sequence_mask
from recurra.models.contract import STAND_INS, Problems, Sizes
from recurra.models.encoders import ENCODERS, Convolutional, Dense, Identity, Pictures
from recurra.models.inputs import INPUTS
from recurra.models.latents import LATENTS, Coded
from recurra.models.options import Component
from recurra.models.reconstructions import RECONSTRUCTIONS, ReadsBack
from recurra.nn import POOLS


@runtime_checkable
class HasCodes(Protocol):
    """A model with one vector for each row, whatever its length. code_size: Z"""

    code_size: int

    def codes(self, batch: Batch) -> Tensor:
        """(N, Z), without anything drawn."""
        ...


class Autoencoder(nn.Module):
    """A row to its code, and the code to what is said of each number of the row.

    sizes: "code" Z; "values" D, numbers of a step; "parameters" P, said of each from the code, and "shared", of each
      for all rows; "row", numbers of a whole row; and what the parts count
    Raises ConfigError, with all problems at once, for options that cannot take effect and for parts that do not fit.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        inputs: Annotated[Component, OneOf("input layer", INPUTS)] = "vectors",
        encoder: Annotated[Component, OneOf("encoder, whose summary becomes the code", ENCODERS)] = "dense",
        latent: Annotated[Component, OneOf("what the code is like", LATENTS)] = "plain",
        decoder: Annotated[Component, OneOf("what turns a code back into a row", RECONSTRUCTIONS)] = "dense",
        pooling: Annotated[
            str, Opt("how what the encoder says of several steps becomes one vector; last: its summary", choices=POOLS)
        ] = "last",
    ) -> None:
        super().__init__()
        self.code_size, self.values, self.pooling = sizes["code"], sizes["values"], pooling
        problems = Problems()
        widths: Sequence[int] = STAND_INS
        with problems.collected():
            self.inputs = build(inputs, INPUTS, sizes)
            widths = (self.inputs.output_size,)
        problems.of_every(widths, lambda width: self._make_above(width, sizes, encoder, latent, decoder))
        problems.raise_all()
        number = sizes["shared"] * sizes["values"]
        self.shared = nn.Parameter(torch.zeros(number, dtype=torch.float32)) if number else None

    def _make_above(self, width: int, sizes: Sizes, encoder: Component, latent: Component, decoder: Component) -> None:
        problems = Problems()
        widths: Sequence[int] = STAND_INS
        with problems.collected():
            self.encoder = build(encoder, ENCODERS, width)
            self.pool = POOLS[self.pooling](self.encoder.output_size)
            widths = (self.pool.output_size,)
            refuse_pooling(self.encoder, self.pooling, sizes["steps"])
        problems.of_every(widths, lambda size: self._make_latent(size, sizes, latent))
        if (made := getattr(self, "encoder", None)) is not None:  # else nobody knows what to mirror
            with problems.collected():
                self.decoder = build(decoder, RECONSTRUCTIONS, sizes["code"], made, sizes)
        problems.raise_all()

    def _make_latent(self, size: int, sizes: Sizes, latent: Component) -> None:
        self.latent = made_latent(latent, size, sizes)

    def forward(self, batch: Batch) -> Prediction:
        """ "numbers" (T, N, D, P), "codes" (N, Z), and "cost" (N,) and "part.NAME" (N,) where the code costs something.

        batch: what the inputs read; "draws" (N, Z) of N(0, 1), for a code that is drawn; targets "values" (T, N, D),
          for a decoder that reads back
        """
        coded = self.code(batch)
        more = {f"part.{name}": part for name, part in coded.parts.items()}
        if coded.cost is not None:
            more["cost"] = coded.cost
        lengths = batch.lengths.to(coded.codes.device)
        numbers = self.decode(coded.codes, lengths, batch.targets["values"] if self.reads_back else None)
        return Prediction({"numbers": numbers, "codes": coded.best, **more})

    def cannot_stream(self) -> list[str]:
        """Why it cannot read a row piece by piece."""
        return ["model.latent: the code stands for the whole row."]

    def code(self, batch: Batch) -> Coded:
        """The code of each row, with what it costs."""
        check_deadline()
        x, lengths = self.inputs(batch)
        encoded = self.encoder(x, lengths, {})
        summary = encoded.summary
        if self.pooling != "last":
            summary = self.pool(encoded.outputs, summary, sequence_mask(encoded.lengths, len(encoded.outputs)))
        found: Coded = self.latent(summary, batch.inputs.get("draws"))
        return found

    def codes(self, batch: Batch) -> Tensor:
        """(N, Z), without anything drawn."""
        return self.code(batch).best

    @property
    def reads_back(self) -> bool:
        """Whether a step is said from those that were said before it."""
        return bool(getattr(self.decoder, "reads_back", False))

    def decode(
        self,
        codes: Tensor,
        lengths: Tensor,
        values: Tensor | None = None,
        mean: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """(T, N, D, P) from codes (N, Z), of rows with so many steps.

        Of a decoder that reads back, behind true values (T, N, D), or behind what `mean` makes of numbers (..., D, P).
        """
        check_deadline()
        if not self.reads_back:
            return self._shaped(self.decoder(codes, lengths))
        assert isinstance(self.decoder, ReadsBack)
        if values is not None:
            return self._shaped(self.decoder.taught(codes, lengths, values))
        assert mean is not None, "a decoder that reads back needs true values, or to know what it says"
        said = mean
        return self._shaped(self.decoder.alone(codes, lengths, lambda one: said(self._shaped(one.unsqueeze(0)))[0]))

    def _shaped(self, said: Tensor) -> Tensor:
        """(T, N, D, P) of numbers (T, N, D P), with those that all rows share."""
        numbers = said.view(*said.shape[:2], self.values, said.shape[2] // self.values)
        if self.shared is None:
            return numbers
        shared = self.shared.view(self.values, -1)
        return torch.cat([numbers, shared.expand(*numbers.shape[:2], -1, -1)], 3)


def made_latent(latent: Component, size: int, sizes: Sizes) -> nn.Module:
    """The code over a summary of this size. Raises ConfigError for one that a variational task cannot score."""
    made: nn.Module = build(latent, LATENTS, size, sizes)
    if sizes["variational"] and not made.is_distribution:
        raise ConfigError(
            "latent: with task.variational a code is a distribution; expected variational, or variational: false."
        )
    return made


def refuse_pooling(encoder: nn.Module, pooling: str, steps: int) -> None:
    """Raise ConfigError where a code would know the end of a row alone, or where there is one step to pool.

    steps: of the longest row, 0 where nobody knows
    """
    places = isinstance(encoder, Pictures) and encoder.given == "places"
    if steps == 1 and pooling != "last" and not places:
        raise ConfigError(f"pooling: {pooling} is of several steps, and rows have one; leave it out.")
    if steps > 1 and pooling == "last" and isinstance(encoder, (Dense, Identity, Convolutional)):
        raise ConfigError(
            "pooling: last, and this encoder keeps no state: the code would know the end of a row alone; take mean, "
            "max or attention, or encoder: recurrent."
        )
