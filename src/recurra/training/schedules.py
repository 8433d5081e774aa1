"""How the learning rate moves: a factor of its peak, for each step.

All but `plateau` are pure functions of the step (1-based) and the number of steps in the run, so they have no state to
save. S is the number of steps, w = round(warmup * S) the steps of warm-up; no step ever has a factor of 0 by formula,
because such a step would be wasted. A step beyond S has the factor of step S.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from recurra.base.contracts import Score
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.training.bounds import bounded

Warmup = Annotated[float, Opt("share of the run over which the learning rate rises to its peak", ge=0, lt=1)]
Floor = Annotated[float, Opt("share of the peak that is left at the end", ge=0, le=1)]


class Schedule(Protocol):
    """What the loop and a checkpoint ask of a schedule."""

    def __call__(self, step: int) -> float:
        """The factor of the peak learning rate at `step` (from 1)."""

    def observe(self, score: Score) -> None:
        """Take note of a development score; most schedules do not care."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, as JSON."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""


@dataclass(frozen=True, slots=True)
class OfStep:
    """A schedule that is a pure function of the step."""

    formula: Callable[[int], float]

    def __call__(self, step: int) -> float:
        return self.formula(step)

    def observe(self, score: Score) -> None:
        """Nothing: the step alone decides."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing: there is no state."""


# Steps of the course that a schedule takes over a time budget.
COURSE = 10_000


class OfTime:
    """A schedule over a time budget: its step is the share of the time that is spent. share: 0..1, asked at each step.

    course: a schedule of COURSE steps
    """

    def __init__(self, course: Schedule, share: Callable[[], float]) -> None:
        self._course, self._share = course, share

    def __call__(self, step: int) -> float:
        return self._course(1 + min(int(self._share() * COURSE), COURSE - 1))

    def observe(self, score: Score) -> None:
        """As the course does."""
        self._course.observe(score)

    def state(self) -> dict[str, Any]:
        return self._course.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""
        self._course.restore(state)


@bounded
def constant(total_steps: int) -> Schedule:
    """The peak at every step."""
    return OfStep(lambda step: 1.0)


@bounded
def linear(total_steps: int, *, warmup: Warmup = 0.1, floor: Floor = 0.0) -> Schedule:
    """Straight up to the peak, then straight down: t/w for t <= w, then floor + (1 - floor) (S - t + 1) / (S - w)."""
    return _warmed_up(total_steps, warmup, lambda done: floor + (1 - floor) * (1 - done))


@bounded
def cosine(total_steps: int, *, warmup: Warmup = 0.1, floor: Floor = 0.0) -> Schedule:
    """Warm-up, then half a cosine: floor + (1 - floor) (1 + cos(pi (t - w - 1) / (S - w))) / 2.

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5, one period.
    """
    return _warmed_up(total_steps, warmup, lambda done: floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2)


def _warmed_up(total_steps: int, warmup: float, after: Callable[[float], float]) -> OfStep:
    """Linear warm-up, then `after(done)`, where done in [0, 1) is the share of the remaining steps that is done."""
    rising = round(warmup * total_steps)
    falling = max(total_steps - rising, 1)

    def formula(step: int) -> float:
        if step <= rising:
            return step / rising
        return after(min(step - rising - 1, falling - 1) / falling)

    return OfStep(formula)


@bounded
def stepwise(
    total_steps: int,
    *,
    drops: Annotated[int, Opt("how many times the learning rate drops, at equal distances", ge=1)] = 2,
    gamma: Annotated[float, Opt("the factor of each drop", gt=0, lt=1)] = 0.1,
) -> Schedule:
    """A staircase of drops + 1 equal parts: gamma ^ floor((t - 1) (drops + 1) / S)."""
    return OfStep(lambda step: gamma ** min((step - 1) * (drops + 1) // max(total_steps, 1), drops))


@bounded
def inverse_sqrt(total_steps: int, *, warmup: Warmup = 0.1) -> Schedule:
    """Linear warm-up, then 1 / sqrt(t), with a peak of 1 at t = w: sqrt(w) min(t^-1/2, t w^-3/2); "noam".

    Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 3, where the learning rate stands for the factor of its peak.
    """
    w = max(round(warmup * total_steps), 1)
    return OfStep(lambda step: math.sqrt(w) * min(step**-0.5, step * w**-1.5))


@bounded
def plateau(
    total_steps: int,
    *,
    factor: Annotated[float, Opt("what the learning rate is multiplied by", gt=0, lt=1)] = 0.5,
    patience: Annotated[int, Opt("evaluations without a better score before that", ge=1)] = 2,
    floor: Floor = 0.01,
) -> Schedule:
    """Lower the learning rate each time the development score has stood still for `patience` evaluations."""
    return Plateau(factor=factor, patience=patience, floor=floor)


class Plateau:
    """The one schedule with a state: the factor now, the best score so far, evaluations since then."""

    def __init__(self, *, factor: float, patience: int, floor: float) -> None:
        self._factor, self._patience, self._floor = factor, patience, floor
        self._now, self._best, self._waited = 1.0, -math.inf, 0

    def __call__(self, step: int) -> float:
        return self._now

    def observe(self, score: Score) -> None:
        """Count an evaluation; a NaN score is no improvement. Raises ConfigError if no direction is better."""
        if score.better == "neither":
            raise ConfigError(f"plateau: score '{score.name}' has no better direction; watch the loss or an accuracy.")
        height = score.value if score.better == "higher" else -score.value
        if height > self._best:
            self._best, self._waited = height, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            self._now, self._waited = max(self._now * self._factor, self._floor), 0

    def state(self) -> dict[str, Any]:
        best = None if self._best == -math.inf else self._best
        return {"now": self._now, "best": best, "waited": self._waited}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._now, self._waited = float(state["now"]), int(state["waited"])
        self._best = -math.inf if state["best"] is None else float(state["best"])
