"""What a number costs by each likelihood, against the densities written out in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oracles import autoencoder as oracle
from recurra.losses.likelihoods import LEAST, LIKELIHOODS, log_partition

LOGITS = (-12.0, -3.0, -0.2, -0.11, -0.09, -1e-3, 0.0, 1e-3, 0.09, 0.11, 0.2, 3.0, 12.0)


def of(word: str, categories: int = 0):
    return LIKELIHOODS[word](categories)


@pytest.mark.parametrize("logit", LOGITS)
@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_the_continuous_bernoulli_is_a_density_with_its_constant(logit: float, x: float) -> None:
    found = of("continuous_bernoulli").cost(
        torch.tensor([[logit]], dtype=torch.float64), torch.tensor([x], dtype=torch.float64)
    )
    # The series is cut at r^6 / 181,440: 5e-12 at r = 0.1; the oracle loses digits of 1 - 2 l near a half.
    assert float(found[0]) == pytest.approx(oracle.continuous_bernoulli(logit, x), abs=2e-9)


def test_the_constant_is_exact_in_float32_on_both_sides_of_the_series() -> None:
    r = torch.linspace(-0.2, 0.2, 401)
    exact = log_partition(r.double())
    torch.testing.assert_close(log_partition(r), exact.float(), atol=2e-7, rtol=2e-6)
    torch.testing.assert_close(
        torch.autograd.functional.jacobian(lambda a: log_partition(a).sum(), r.double()),
        of("continuous_bernoulli").mean(r.double().unsqueeze(1)),
        atol=1e-7,
        rtol=0,
    )


@pytest.mark.parametrize("logit", [-8.0, -0.5, 0.0, 0.05, 2.0])
def test_what_is_expected_of_a_continuous_bernoulli(logit: float) -> None:
    mean = float(of("continuous_bernoulli").mean(torch.tensor([[logit]], dtype=torch.float64))[0])
    assert mean == pytest.approx(oracle.continuous_bernoulli_mean(logit), abs=1e-7)
    back = of("continuous_bernoulli").constant(np.array([mean]), np.ones(1))
    assert back[0, 0] == pytest.approx(logit, abs=1e-4)


@pytest.mark.parametrize("logit", [-4.0, 0.0, 1.5])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli(logit: float, x: float) -> None:
    found = of("bernoulli").cost(torch.tensor([[logit]], dtype=torch.float64), torch.tensor([x], dtype=torch.float64))
    assert float(found[0]) == pytest.approx(oracle.bernoulli(logit, x), abs=1e-12)


@pytest.mark.parametrize("deviation", [0.01, 0.4, 3.0])
def test_a_gaussian_with_the_deviation_of_the_training_rows(deviation: float) -> None:
    gaussian = of("gaussian")
    numbers = torch.from_numpy(gaussian.constant(np.array([0.2]), np.array([deviation])))
    found = gaussian.cost(numbers, torch.tensor([0.7], dtype=torch.float64))
    assert float(found[0]) == pytest.approx(oracle.gaussian(0.2, deviation, 0.7), rel=1e-9)
    sure = gaussian.cost(torch.tensor([[0.0, -50.0]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    assert float(sure[0]) == pytest.approx(LEAST + 0.5 * math.log(2 * math.pi), abs=1e-9)


def test_categorical_numbers_cost_what_their_share_says() -> None:
    shares = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    likelihood = of("categorical", 3)
    assert float(likelihood.cost(shares.log(), torch.tensor([2.0]).double())[0]) == pytest.approx(-math.log(0.2))
    assert float(likelihood.mean(shares.log())[0]) == pytest.approx(0.3 + 0.4)


@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("bernoulli", 0.5, "holds 0.5 as it is scaled, and bernoulli is a likelihood of 0 and 1 alone"),
        ("continuous_bernoulli", 1.5, "continuous_bernoulli is a likelihood of numbers from 0 to 1"),
        ("categorical", 3.0, "categorical is a likelihood of whole numbers from 0 to 2"),
        ("categorical", 0.5, "whole numbers"),
    ],
)
def test_numbers_that_a_likelihood_does_not_have_are_refused_by_name(word: str, value: float, said: str) -> None:
    assert said in of(word, 3).refusal(np.array([0.0, np.nan, value], np.float32))
    assert of(word, 3).refusal(np.array([0.0, np.nan, 1.0], np.float32)) == ""
