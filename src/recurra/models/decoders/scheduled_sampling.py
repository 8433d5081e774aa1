"""Scheduled sampling: how often training shows the decoder the true token rather than its own last one.

Source: Bengio, Vinyals, Jaitly & Shazeer 2015, arXiv:1506.03099, section 2.4. i counts updates from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """A straight line down to a floor: max(floor, start - slope i), at update i.

    Raises ConfigError for a floor above the start, which would have no effect.
    """

    start: Annotated[float, Opt("probability of the true token at the first update", ge=0, le=1)] = 1.0
    slope: Annotated[float, Opt("decrease an update", gt=0, le=1)] = 1e-5
    floor: Annotated[float, Opt("smallest probability", ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        if self.floor > self.start:
            raise ConfigError(
                f"start: {self.start:g} has no effect under a floor of {self.floor:g}; expected a floor from 0 to "
                "start, since the probability falls."
            )

    def __call__(self, update: int) -> float:
        return max(self.floor, self.start - self.slope * update)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exponential:
    """A decay by the same factor at each update: k^i, at update i."""

    k: Annotated[float, Opt("probability is multiplied by it at each update", gt=0, lt=1)] = 0.9999

    def __call__(self, update: int) -> float:
        return float(self.k**update)


@dataclass(frozen=True, kw_only=True, slots=True)
class InverseSigmoid:
    """A curve that stays near 1, falls, and flattens again: k / (k + exp(i / k)), at update i."""

    k: Annotated[float, Opt("half of the tokens are true after about k ln k updates", ge=1)] = 1000.0

    def __call__(self, update: int) -> float:
        return 1 / (1 + math.exp(min(update / self.k - math.log(self.k), 700.0)))


SAMPLING_SCHEDULES: Registry[Callable[..., Callable[[int], float]]] = Registry("scheduled_sampling")
SAMPLING_SCHEDULES.add("linear", Linear)
SAMPLING_SCHEDULES.add("exponential", Exponential)
SAMPLING_SCHEDULES.add("inverse_sigmoid", InverseSigmoid)
