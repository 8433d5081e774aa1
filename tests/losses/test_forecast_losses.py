"""Losses and quantiles of forecasts against SciPy's distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.losses.forecasts import KINDS, LEAST, Quantiles
from recurra.losses.special import betainc, student_t_cdf

stats: Any = pytest.importorskip("scipy.stats", reason="scipy is not installed; it comes with recurra[test]")
special: Any = pytest.importorskip("scipy.special", reason="scipy is not installed; it comes with recurra[test]")
LEVELS = (0.05, 0.5, 0.9)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 2, (6, 4, 3))


def loss_of(word: str, numbers: np.ndarray, target: np.ndarray, scale: float = 1.0) -> np.ndarray:
    kind = KINDS[word](LEVELS)
    given = torch.from_numpy(numbers[..., : kind.size].copy())
    return kind.loss(given, torch.from_numpy(target), torch.full(target.shape, scale, dtype=torch.float64)).numpy()


def frozen(word: str, numbers: np.ndarray, scale: float = 1.0) -> Any:
    a, b, c = numbers[..., 0], softplus(numbers[..., 1]) + LEAST, softplus(numbers[..., 2]) + LEAST
    mean = (softplus(a) + LEAST) * scale
    match word:
        case "gaussian":
            return stats.norm(a, b)
        case "student_t":
            return stats.t(2 + c, a, b)
        case "poisson":
            return stats.poisson(mean)
    return stats.nbinom(1 / b, 1 / (1 + b * mean))


@pytest.mark.parametrize("word", ["gaussian", "student_t", "poisson", "negative_binomial"])
def test_the_loss_of_a_distribution_is_minus_its_log_density(word: str, numbers: np.ndarray) -> None:
    counts = word in ("poisson", "negative_binomial")
    scale = 7.0 if counts else 1.0
    target = (
        np.random.default_rng(4).poisson(9, (6, 4)) / scale if counts else np.random.default_rng(4).normal(size=(6, 4))
    )
    known = frozen(word, numbers, scale)
    density = known.logpmf(np.round(target * scale)) if counts else known.logpdf(target)
    np.testing.assert_allclose(loss_of(word, numbers, target, scale), -density, rtol=1e-7)


@pytest.mark.parametrize("word", ["gaussian", "student_t", "poisson", "negative_binomial"])
def test_quantiles_of_a_distribution_are_scipys(word: str, numbers: np.ndarray) -> None:
    scale = 30.0 if word in ("poisson", "negative_binomial") else 1.0
    kind = KINDS[word](LEVELS)
    given = np.ascontiguousarray(numbers[..., : kind.size])
    found = kind.quantiles(given, LEVELS, np.full((6, 4), scale))
    expected = np.stack([frozen(word, numbers, scale).ppf(q) for q in LEVELS], -1) / scale
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


def test_quantiles_never_cross_whatever_the_network_says() -> None:
    kind = Quantiles((0.1, 0.3, 0.5, 0.7, 0.9))
    wild = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float32) * 1e4
    assert (kind.values(wild).diff(dim=-1) >= 0).all()
    assert torch.equal(kind.values(wild)[:, 2], wild[:, 2])  # the median is free


def test_quantiles_of_an_answer_are_those_of_the_loss() -> None:
    kind = Quantiles((0.1, 0.3, 0.5, 0.9))
    numbers = np.random.default_rng(0).normal(0, 3, (7, 2, 4))
    expected = kind.values(torch.from_numpy(numbers)).numpy()[..., [0, 2, 3]]
    np.testing.assert_allclose(kind.quantiles(numbers, (0.1, 0.5, 0.9), np.ones((7, 2))), expected, rtol=1e-12)


def test_the_loss_of_quantiles_is_twice_the_mean_pinball_loss() -> None:
    kind = Quantiles((0.1, 0.5, 0.9))
    numbers, target = torch.tensor([[0.3, 2.0, -0.7]], dtype=torch.float64), torch.tensor([2.5], dtype=torch.float64)
    q = kind.values(numbers)[0].numpy()
    expected = 2 * np.mean([max(p * (2.5 - v), (p - 1) * (2.5 - v)) for p, v in zip((0.1, 0.5, 0.9), q, strict=True)])
    assert float(kind.loss(numbers, target, target)[0]) == pytest.approx(expected, rel=1e-12)


def test_points_cost_their_error_its_square_and_hubers_mix() -> None:
    numbers, target = np.array([[3.0], [0.5]]), np.array([1.0, 0.0])
    assert loss_of("mae", numbers, target).tolist() == [2.0, 0.5]
    assert loss_of("mse", numbers, target).tolist() == [4.0, 0.25]
    assert loss_of("huber", numbers, target).tolist() == [1.5, 0.125]


@pytest.mark.parametrize("word", ["gaussian", "student_t", "poisson", "negative_binomial"])
def test_losses_and_gradients_stay_finite_at_extremes(word: str) -> None:
    kind = KINDS[word](LEVELS)
    for size in (-200.0, 200.0, 1e4):
        numbers = torch.full((3, kind.size), size, requires_grad=True, dtype=torch.float32)
        scale = torch.full((3,), 1e3, dtype=torch.float32)
        loss = kind.loss(numbers, torch.tensor([0.0, 1.0, 1e3], dtype=torch.float32), scale).sum()
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(numbers.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("mean", [1e3, 1e5, 1e7])
def test_large_counts_cost_the_same_in_float32_as_in_float64(word: str, mean: float) -> None:
    kind, scale = KINDS[word](LEVELS), 1024.0  # a power of two: count / scale is the same in both
    said, count = [mean / scale, -3.0][: kind.size], round(mean * 1.0005)
    found = []
    for dtype in (torch.float32, torch.float64):
        numbers = torch.tensor([said], dtype=torch.float32).to(dtype).requires_grad_()
        target = torch.tensor([count / scale], dtype=torch.float32).to(dtype)
        loss = kind.loss(numbers, target, torch.tensor([scale], dtype=dtype))
        loss.sum().backward()
        assert numbers.grad is not None
        found.append((loss, numbers.grad))
        assert (loss.dtype, numbers.grad.dtype) == (dtype, dtype)
    for one, exact in zip(*found, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), exact.detach().numpy(), rtol=1e-6)  # a last bit of float32


def test_the_incomplete_beta_function_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b, x = rng.uniform(0.05, 300, 500), rng.uniform(0.05, 300, 500), rng.uniform(0, 1, 500)
    np.testing.assert_allclose(betainc(a, b, x), special.betainc(a, b, x), rtol=1e-9, atol=1e-14)
    assert betainc(np.array([2.0, 2.0]), np.array([3.0, 3.0]), np.array([0.0, 1.0])).tolist() == [0.0, 1.0]
    np.testing.assert_allclose(student_t_cdf(np.array([-2.0, 0.0, 1.5]), np.array([3.0, 4.0, 2.5])),
                               stats.t.cdf([-2.0, 0.0, 1.5], [3.0, 4.0, 2.5]), rtol=1e-10)  # fmt: skip


def test_a_forecast_of_points_has_no_quantiles():
    with pytest.raises(ValueError, match="a forecast of points has no quantiles"):
        KINDS["mae"]((0.5,)).quantiles(np.zeros((1, 1, 1, 1)), (0.5,), np.ones((1, 1, 1)))
