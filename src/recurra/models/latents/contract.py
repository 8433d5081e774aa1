"""What the code of an autoencoder is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Coded:
    """The code of each row.

    codes: (N, Z), what the decoder reads      best: (N, Z), the code that stands for a row, without anything drawn
    cost: (N,), what training adds to the reconstruction's cost; None: nothing
    parts: (N,) each, by name: what is said of the cost
    mean, log_variance: (N, Z), of a code that is a distribution
    """

    codes: Tensor
    best: Tensor
    cost: Tensor | None = None
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    mean: Tensor | None = None
    log_variance: Tensor | None = None


class Latent(Protocol):
    """LATENTS[word](input_size, sizes, *, options): from an encoder's summary to a code.

    sizes: "code" Z; "row", numbers of a row, 0 where nobody knows; "noisy", 1 where what is read has noise
    output_size: Z      is_distribution: whether a code is drawn, so that a bound on the likelihood can be had
    """

    output_size: int
    is_distribution: bool

    def __call__(self, summary: Tensor, draws: Tensor | None, /) -> Coded:
        """summary (N, M). draws: (N, Z) of N(0, 1) for a code that is drawn; None: by torch, in training alone."""
        ...
