"""What a forecast says of a number, and what it costs: points, quantiles, and distributions.

Every kind turns the numbers of a head, (..., P), into a loss for each target, a point, and quantiles. Targets and
answers are in scaled units; counts are judged as counts, so they take the scale too.

mae mse huber      a point: the median, the mean, and between the two
quantiles          several, which never cross: each is the one below and a softplus more
gaussian student_t mean and deviation; heavier tails by degrees of freedom, over 2
poisson negative_binomial  counts: mean; and a dispersion that stays finite
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import huber_loss, softplus

from recurra.base.registry import Registry
from recurra.losses.special import betainc, count_quantile, student_t_quantile

Floats = NDArray[np.float64]
# Deviations, means of counts and dispersions are at least this, in scaled units, so that no logarithm is infinite.
LEAST = 1e-4
MOST = 1e6


class Kind(Protocol):
    """A kind of forecast. size: P      unit: of the loss      counts: whether targets are whole numbers from 0 on

    place: of the number that the point is, itself, or of counts through a softplus
    """

    size: int
    place: int
    unit: str
    counts: bool
    has_quantiles: bool

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        """(...) of numbers (..., P) and scaled targets (...)."""
        ...

    def point(self, numbers: Floats) -> Floats:
        """(...) scaled."""
        ...

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        """(..., Q) scaled."""
        ...


class Point:
    """One number. A point has no quantiles of its own."""

    size, place, counts, has_quantiles = 1, 0, False, False

    def __init__(self, unit: str, cost: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.unit, self._cost = unit, cost

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        return self._cost(numbers[..., 0], target)

    def point(self, numbers: Floats) -> Floats:
        return numbers[..., 0]

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        raise ValueError("a forecast of points has no quantiles; take a loss that has, or conformal intervals")


class Quantiles:
    """levels: from low to high, 0.5 among them. The loss is twice the mean pinball loss, which is |error| at 0.5."""

    counts, has_quantiles, unit = False, True, "pinball loss in scaled units"

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)
        self.size = len(self.levels)
        self.place = self.levels.index(0.5)

    def values(self, numbers: Tensor) -> Tensor:
        """(..., P) the quantiles, which do not fall from one to the next: from the median up, and down."""
        k = self.place
        steps = softplus(numbers)
        middle = numbers[..., k : k + 1]
        up = middle + torch.cumsum(steps[..., k + 1 :], -1)
        down = middle - torch.cumsum(steps[..., :k].flip(-1), -1).flip(-1)
        return torch.cat([down, middle, up], -1)

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        levels = numbers.new_tensor(self.levels)
        error = target.unsqueeze(-1) - self.values(numbers)
        return 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)

    def point(self, numbers: Floats) -> Floats:
        return numbers[..., self.place]

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        # Not torch's softplus: it takes another path, with other last bits, for a row that lies alone in memory.
        k, steps = self.place, _softplus(numbers, 0.0)
        middle = numbers[..., k : k + 1]
        down = middle - np.cumsum(steps[..., :k][..., ::-1], -1)[..., ::-1]
        found = np.concatenate([down, middle, middle + np.cumsum(steps[..., k + 1 :], -1)], -1)
        return np.stack([found[..., self.levels.index(level)] for level in levels], -1)


class Gaussian:
    """Mean and deviation; nats."""

    size, place, counts, has_quantiles, unit = 2, 0, False, True, "nats in scaled units"

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        deviation = softplus(numbers[..., 1]) + LEAST
        return ((target - numbers[..., 0]) / deviation) ** 2 / 2 + torch.log(deviation) + math.log(2 * math.pi) / 2

    def point(self, numbers: Floats) -> Floats:
        return numbers[..., 0]

    def deviations(self, numbers: Floats) -> Floats:
        """(...) scaled."""
        return _softplus(numbers[..., 1], LEAST)

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        z = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)).numpy()
        return np.asarray(numbers[..., :1] + self.deviations(numbers)[..., None] * z)


class StudentT:
    """Mean, scale and degrees of freedom over 2, so that there is a deviation; nats."""

    size, place, counts, has_quantiles, unit = 3, 0, False, True, "nats in scaled units"

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        spread, df = softplus(numbers[..., 1]) + LEAST, 2 + LEAST + softplus(numbers[..., 2]).clamp(max=MOST)
        z = (target - numbers[..., 0]) / spread
        norm = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + torch.log(df * math.pi) / 2 + torch.log(spread)
        return norm + (df + 1) / 2 * torch.log1p(z * z / df)

    def point(self, numbers: Floats) -> Floats:
        return numbers[..., 0]

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        spread, df = _softplus(numbers[..., 1], LEAST), np.minimum(_softplus(numbers[..., 2], 2 + LEAST), MOST)
        return np.stack([numbers[..., 0] + spread * student_t_quantile(q, df) for q in levels], -1)


class Poisson:
    """The mean of a count; nats of the count itself."""

    size, place, counts, has_quantiles, unit = 1, 0, True, True, "nats"

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        mean, count = _mean_and_count(numbers, target, scale)
        return (mean - torch.xlogy(count, mean) + torch.lgamma(count + 1)).to(numbers.dtype)

    def point(self, numbers: Floats) -> Floats:
        return _softplus(numbers[..., 0], LEAST)

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        mean = self.point(numbers) * scale

        def cdf(k: Floats) -> Floats:
            found: Floats = torch.special.gammaincc(torch.from_numpy(k + 1), torch.from_numpy(mean)).numpy()
            return found

        return np.stack([count_quantile(q, cdf, mean) / scale for q in levels], -1)


class NegativeBinomial:
    """The mean of a count, and how much its variance exceeds it: mean + dispersion mean^2; nats of the count itself.

    The dispersion is between 1e-4 and 1e6: one of 0 would be a division by zero, and is a Poisson distribution.
    """

    size, place, counts, has_quantiles, unit = 2, 0, True, True, "nats"

    def loss(self, numbers: Tensor, target: Tensor, scale: Tensor) -> Tensor:
        mean, count = _mean_and_count(numbers, target, scale)
        r = 1 / (softplus(numbers[..., 1].double()) + LEAST).clamp(max=MOST)
        log_odds = torch.log(r + mean)
        terms = torch.lgamma(count + 1) + torch.lgamma(r) - torch.lgamma(count + r)
        return (terms - r * (torch.log(r) - log_odds) - count * (torch.log(mean) - log_odds)).to(numbers.dtype)

    def point(self, numbers: Floats) -> Floats:
        return _softplus(numbers[..., 0], LEAST)

    def quantiles(self, numbers: Floats, levels: Sequence[float], scale: Floats) -> Floats:
        mean = self.point(numbers) * scale
        r = 1 / np.minimum(_softplus(numbers[..., 1], LEAST), MOST)
        return np.stack(
            [count_quantile(q, lambda k: betainc(r, k + 1, r / (r + mean)), mean) / scale for q in levels], -1
        )


def point_of(kind: Kind, numbers: Tensor) -> Tensor:
    """(...) scaled: what `kind.point` says of numbers (..., P), as torch has it, with a gradient."""
    found = numbers[..., kind.place]
    return softplus(found) + LEAST if kind.counts else found


def _mean_and_count(numbers: Tensor, target: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """(...) both in float64: the terms of a loss of counts grow as they do, and their sum has a few nats.

    In float32 nothing of it would be left, nor of its gradient, from counts of some hundred thousand on.
    """
    exact = scale.double()
    return (softplus(numbers[..., 0].double()) + LEAST) * exact, target.double() * exact


def _softplus(x: Floats, least: float) -> Floats:
    found: Floats = np.logaddexp(0.0, x) + least
    return found


def _absolute(said: Tensor, target: Tensor) -> Tensor:
    return (said - target).abs()


def _squared(said: Tensor, target: Tensor) -> Tensor:
    return (said - target) ** 2


def _huber(said: Tensor, target: Tensor) -> Tensor:
    return huber_loss(said, target, reduction="none")


KINDS: Registry[Callable[[Sequence[float]], Kind]] = Registry("loss of forecasts")
KINDS.add("mae", lambda levels: Point("absolute error in scaled units", _absolute))
KINDS.add("mse", lambda levels: Point("squared error in scaled units", _squared))
KINDS.add("huber", lambda levels: Point("Huber loss in scaled units", _huber))
KINDS.add("quantiles", Quantiles)
KINDS.add("gaussian", lambda levels: Gaussian())
KINDS.add("student_t", lambda levels: StudentT())
KINDS.add("poisson", lambda levels: Poisson())
KINDS.add("negative_binomial", lambda levels: NegativeBinomial())
