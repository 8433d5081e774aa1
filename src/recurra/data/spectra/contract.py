"""The contract of a definition of sound features, and the options that all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.base.option import Opt

Samples = NDArray[np.float32]
Channels = Literal["refuse", "mean", "first"]

Rate = Annotated[int, Opt("samples a second of all sounds, in Hz", ge=1_000, le=400_000)]
Mixing = Annotated[
    Channels, Opt("sounds of several channels; mean: of all channels; first: that one; refuse: an error")
]
Resampling = Annotated[bool, Opt("sounds of another rate are resampled (soxr), where they are an error otherwise")]
Lowest = Annotated[float, Opt("lowest frequency of the first band, in Hz", ge=0)]
Highest = Annotated[float | None, Opt("highest frequency of the last band, in Hz; null: half the rate", gt=0)]


class Spectrum(Protocol):
    """Samples to features. rate: in Hz of the sounds that it takes

    causal: whether frame t needs the `window` samples from t * `step` on alone
    """

    rate: int
    channels: Channels
    resample: bool
    num_features: int
    causal: bool
    window: int
    step: int

    def frames(self, samples: int) -> int:
        """How many frames a sound of so many samples has."""
        ...

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(T, num_features) of samples (S,) in -1..1."""
        ...

    def said(self) -> str:
        """What it does, in a few words with numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Band:
    """Frequencies in Hz between which bands lie. Raises ConfigError for none between, or more than there can be."""

    lowest: float
    highest: float

    @classmethod
    def of(cls, lowest: float, highest: float | None, rate: int) -> Band:
        """The upper end is half the rate where it is None."""
        most = rate / 2
        top = most if highest is None else highest
        if not lowest < top <= most:
            raise ConfigError(
                f"highest: is {top:g} Hz with lowest {lowest:g} Hz and rate {rate}; expected more than lowest and at "
                f"most half the rate, {most:g}."
            )
        return cls(lowest, top)
