"""Inputs, an encoder, a code, and what turns the code back: every model that learns to say again what it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recurra.base.contracts import Batch, Prediction
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf
from recurra.config import build
from recurra.models.contract import STAND_INS, Problems, Sizes
from recurra.models.encoders import ENCODERS
from recurra.models.inputs import INPUTS
from recurra.models.latents import LATENTS, Coded
from recurra.models.options import Component
from recurra.models.reconstructions import RECONSTRUCTIONS


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
    ) -> None:
        super().__init__()
        self.code_size, self.values = sizes["code"], sizes["values"]
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
            widths = (self.encoder.output_size,)
        problems.of_every(widths, lambda size: self._make_latent(size, sizes, latent))
        if (made := getattr(self, "encoder", None)) is not None:  # else nobody knows what to mirror
            with problems.collected():
                self.decoder = build(decoder, RECONSTRUCTIONS, sizes["code"], made, sizes)
        problems.raise_all()

    def _make_latent(self, size: int, sizes: Sizes, latent: Component) -> None:
        self.latent = build(latent, LATENTS, size, sizes)
        if sizes["variational"] and not self.latent.is_distribution:
            raise ConfigError(
                "latent: with task.variational a code is a distribution; expected variational, or variational: false."
            )

    def forward(self, batch: Batch) -> Prediction:
        """ "numbers" (T, N, D, P), "codes" (N, Z), and "cost" (N,) and "part.NAME" (N,) where the code costs something.

        batch: what the inputs read; "draws" (N, Z) of N(0, 1), for a code that is drawn
        """
        coded = self.code(batch)
        more = {f"part.{name}": part for name, part in coded.parts.items()}
        if coded.cost is not None:
            more["cost"] = coded.cost
        numbers = self.decode(coded.codes, batch.lengths.to(coded.codes.device))
        return Prediction({"numbers": numbers, "codes": coded.best, **more})

    def cannot_stream(self) -> list[str]:
        """Why it cannot read a row piece by piece."""
        return ["model.latent: the code stands for the whole row."]

    def code(self, batch: Batch) -> Coded:
        """The code of each row, with what it costs."""
        x, lengths = self.inputs(batch)
        found: Coded = self.latent(self.encoder(x, lengths, {}).summary, batch.inputs.get("draws"))
        return found

    def codes(self, batch: Batch) -> Tensor:
        """(N, Z), without anything drawn."""
        return self.code(batch).best

    def decode(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """(T, N, D, P) from codes (N, Z), of rows with so many steps."""
        said: Tensor = self.decoder(codes, lengths)
        numbers = said.view(*said.shape[:2], self.values, -1)
        if self.shared is None:
            return numbers
        shared = self.shared.view(self.values, -1)
        return torch.cat([numbers, shared.expand(*numbers.shape[:2], -1, -1)], 3)
