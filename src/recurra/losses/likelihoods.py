"""What a decoder says of each number of a row, and what it costs: how an autoencoder is judged.

squared_error         one number; no likelihood
gaussian              a mean, with a deviation of each number that all rows share
bernoulli             the log-odds of 1, for numbers that are 0 or 1 and nothing between
continuous_bernoulli  for numbers from 0 to 1, such as grey pixels (Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845)
categorical           log-probabilities of 0, 1, ..., K - 1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, softplus

from recurra.base.registry import Registry
from recurra.losses.steady import steady_sigmoid

# Below it the constant of the continuous Bernoulli is taken from its series: the quotient has lost its digits there.
NEAR_ZERO = 0.1
# Logarithms of deviations are at least this (Rybkin, Daniilidis & Levine 2021, arXiv:2006.13202, section 4).
LEAST = -6.0
# Values that a categorical number may have: those of a byte.
MOST_CATEGORIES = 256


class Likelihood(Protocol):
    """LIKELIHOODS[word](categories): what P numbers say of a value.

    size: numbers that come from the code, for each value      shared: those beside them that all rows have in common
    unit: of the loss      is_density: whether it is a likelihood, so that bounds on that of a row can be had
    """

    size: int
    shared: int
    unit: str
    is_density: bool

    def refusal(self, values: NDArray[np.float32]) -> str:
        """Why these scaled values (...), NaN where one is missing, cannot be, as a clause; "" where they can."""
        ...

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        """(...) of numbers (..., P) and scaled values (...)."""
        ...

    def mean(self, numbers: Tensor) -> Tensor:
        """(...) what is expected of a value."""
        ...

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        """(D, P) numbers that say a mean and a deviation (D,) of every row, without a model."""
        ...


class SquaredError:
    """One number, judged by its squared error."""

    size, shared, unit, is_density = 1, 0, "squared error in scaled units", False

    def __init__(self, categories: int) -> None:
        pass

    def refusal(self, values: NDArray[np.float32]) -> str:
        return ""

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        return (numbers[..., 0] - values) ** 2

    def mean(self, numbers: Tensor) -> Tensor:
        return numbers[..., 0]

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        return mean[:, None]


class Gaussian:
    """A mean from the code, and a deviation of each number that is learned for all rows.

    log s = LEAST + softplus(r - LEAST), so that no number becomes certain.
    """

    size, shared, unit, is_density = 1, 1, "nats", True

    def __init__(self, categories: int) -> None:
        pass

    def refusal(self, values: NDArray[np.float32]) -> str:
        return ""

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        log_deviation = LEAST + softplus(numbers[..., 1] - LEAST)
        away = (values - numbers[..., 0]) * torch.exp(-log_deviation)
        return 0.5 * away**2 + log_deviation + 0.5 * math.log(2 * math.pi)

    def mean(self, numbers: Tensor) -> Tensor:
        return numbers[..., 0]

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        log_deviation = np.log(np.maximum(deviation, math.exp(LEAST + 0.01)))
        return np.stack([mean, LEAST + np.log(np.expm1(log_deviation - LEAST))], -1)


class Bernoulli:
    """The log-odds of 1."""

    size, shared, unit, is_density = 1, 0, "nats", True

    def __init__(self, categories: int) -> None:
        pass

    def refusal(self, values: NDArray[np.float32]) -> str:
        there = values[~np.isnan(values)]
        wrong = there[(there != 0) & (there != 1)]
        if not len(wrong):
            return ""
        return (
            f"holds {wrong[0]:.4g} as it is scaled, and bernoulli is a likelihood of 0 and 1 alone. For grey values "
            "from 0 to 1 take task.likelihood: continuous_bernoulli, or make them 0 or 1 with task.binarize"
        )

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(numbers[..., 0], values, reduction="none")

    def mean(self, numbers: Tensor) -> Tensor:
        return steady_sigmoid(numbers[..., 0])

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        return _log_odds(mean)[:, None]


class ContinuousBernoulli:
    """p(x) = e^(r x) r / (e^r - 1) for x in 0..1: odds e^r as a Bernoulli's, with the constant of a density."""

    size, shared, unit, is_density = 1, 0, "nats", True

    def __init__(self, categories: int) -> None:
        pass

    def refusal(self, values: NDArray[np.float32]) -> str:
        there = values[~np.isnan(values)]
        wrong = there[(there < 0) | (there > 1)]
        if not len(wrong):
            return ""
        return (
            f"holds {wrong[0]:.4g} as it is scaled, and continuous_bernoulli is a likelihood of numbers from 0 to 1; "
            "take task.scaling: range, or task.likelihood: gaussian"
        )

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        return log_partition(numbers[..., 0]) - numbers[..., 0] * values

    def mean(self, numbers: Tensor) -> Tensor:
        r = numbers[..., 0]
        near = r.abs() < NEAR_ZERO
        safe = torch.where(near, 1.0, r)
        # Beyond 60 the exponential is 0 or infinite beside 1; its gradient would be infinity over infinity.
        return torch.where(near, 0.5 + r / 12 - r**3 / 720, -1 / torch.expm1(-safe.clamp(-60, 60)) - 1 / safe)

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        """By bisection: the mean rises with r."""
        wanted = torch.from_numpy(np.clip(mean, 1e-3, 1 - 1e-3))
        low, high = torch.full_like(wanted, -1100.0), torch.full_like(wanted, 1100.0)
        for _ in range(60):
            middle = (low + high) / 2
            above = self.mean(middle[..., None]) > wanted
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        found: NDArray[np.float64] = middle.numpy()[:, None]
        return found


class Categorical:
    """Log-odds of 0, 1, ..., K - 1, K = categories."""

    shared, unit, is_density = 0, "nats", True

    def __init__(self, categories: int) -> None:
        self.size = categories

    def refusal(self, values: NDArray[np.float32]) -> str:
        there = values[~np.isnan(values)]
        wrong = there[(there != np.round(there)) | (there < 0) | (there >= self.size)]
        if not len(wrong):
            return ""
        return (
            f"holds {wrong[0]:.4g} as it is scaled, and categorical is a likelihood of whole numbers from 0 to "
            f"{self.size - 1}, the largest of the training rows, and {MOST_CATEGORIES - 1} at most; take task.scaling: "
            "none, or task.likelihood: gaussian"
        )

    def cost(self, numbers: Tensor, values: Tensor) -> Tensor:
        return -log_softmax(numbers, -1).gather(-1, values.long().unsqueeze(-1)).squeeze(-1)

    def mean(self, numbers: Tensor) -> Tensor:
        return torch.softmax(numbers, -1) @ torch.arange(self.size, dtype=numbers.dtype, device=numbers.device)

    def constant(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.zeros((len(mean), self.size))  # of a mean alone nobody knows more than that all are alike


def log_partition(r: Tensor) -> Tensor:
    """log((e^r - 1) / r), 0 at r = 0: what makes the continuous Bernoulli a density."""
    near = r.abs() < NEAR_ZERO
    away = torch.where(near, 1.0, r).abs()
    series = r / 2 + r**2 / 24 - r**4 / 2880
    return torch.where(near, series, torch.relu(r) + torch.log(-torch.expm1(-away) / away))


def _log_odds(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.clip(mean, 1e-4, 1 - 1e-4)
    found: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return found


LIKELIHOODS: Registry[Callable[[int], Likelihood]] = Registry("likelihood")
LIKELIHOODS.add("squared_error", SquaredError)
LIKELIHOODS.add("gaussian", Gaussian)
LIKELIHOODS.add("bernoulli", Bernoulli)
LIKELIHOODS.add("continuous_bernoulli", ContinuousBernoulli)
LIKELIHOODS.add("categorical", Categorical)
