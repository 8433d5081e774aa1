"""How much the KL of a code weighs after so many updates: a code that costs nothing at first is used.

none      all of it from the first update
linear    from nothing, in a straight line (Bowman et al. 2016, arXiv:1511.06349, section 3.1)
cyclic    the same again and again, each time held for the rest (Fu et al. 2019, arXiv:1903.10145, equation 6)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from recurra.base.option import Opt
from recurra.base.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class NoWarmup:
    """1 at every update."""

    def __call__(self, update: int) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearWarmup:
    """min(1, i / updates), at update i, counted from 0."""

    updates: Annotated[int, Opt("until all of it weighs", ge=1)] = 2000

    def __call__(self, update: int) -> float:
        return min(1.0, update / self.updates)


@dataclass(frozen=True, kw_only=True, slots=True)
class CyclicWarmup:
    """min(1, t / rise), t = (i mod updates) / updates: of each cycle the first part rises, the rest has all of it."""

    updates: Annotated[int, Opt("of a cycle", ge=2)] = 2000
    rise: Annotated[float, Opt("share of a cycle that rises", gt=0, le=1)] = 0.5

    def __call__(self, update: int) -> float:
        return min(1.0, (update % self.updates) / (self.updates * self.rise))


WARMUPS: Registry[Callable[..., Callable[[int], float]]] = Registry("warmup")
WARMUPS.add("none", NoWarmup)
WARMUPS.add("linear", LinearWarmup)
WARMUPS.add("cyclic", CyclicWarmup)
