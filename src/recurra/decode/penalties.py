"""What a hypothesis' log-probability is divided by, so that hypotheses of different lengths compare.

A log-probability falls with every token, so without a penalty short sequences win. Length counts the end. Each penalty
is a divisor above 0 that never falls with the length: the early stop of `beam_search` rests on that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Protocol

import numpy as np

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry
from recurra.decode.steps import Floats, Ints


class LengthPenalty(Protocol):
    """A divisor for the sum of log-probabilities."""

    def divisor(self, lengths: Ints) -> Floats:
        """Of the same shape as lengths (1 or more); above 0, and never smaller for a greater length."""
        ...


class NoPenalty:
    """The score is the log-probability of the sequence, in nats. The divisor is 1 at every length."""

    def divisor(self, lengths: Ints) -> Floats:
        """One, for every length."""
        return np.ones(lengths.shape)


class MeanPenalty:
    """The score is nats per token: the log-probability divided by the length, which grows with itself."""

    def divisor(self, lengths: Ints) -> Floats:
        """The lengths."""
        return lengths.astype(np.float64)


class WuPenalty:
    """Between the two: lp(Y) = ((5 + |Y|) / 6) ** alpha (Wu et al. 2016, arXiv:1609.08144, eq. 14).

    For alpha of 0 or more it is a power of something that grows with |Y|, so it never falls.
    Raises ConfigError for another alpha. The coverage penalty of the same equation is not part of it.
    """

    def __init__(
        self,
        *,
        alpha: Annotated[
            float, Opt("strength of the penalty, 0 is none; the paper found 0.6 to 0.7 best", ge=0, le=10)
        ] = 0.6,
    ) -> None:
        if not (isinstance(alpha, int | float) and math.isfinite(alpha) and 0 <= alpha <= 10):
            raise ConfigError(f"length penalty wu: alpha: expected a number in 0..10, got {alpha!r}.")
        self._alpha = alpha

    def divisor(self, lengths: Ints) -> Floats:
        """lp of each length."""
        powers: Floats = np.power((5.0 + lengths) / 6.0, self._alpha)
        return powers


LENGTH_PENALTIES: Registry[Callable[..., LengthPenalty]] = Registry("length_penalty")
LENGTH_PENALTIES.add("none", NoPenalty)
LENGTH_PENALTIES.add("mean", MeanPenalty)
LENGTH_PENALTIES.add("wu", WuPenalty)
