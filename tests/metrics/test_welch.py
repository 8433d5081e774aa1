"""Welch's interval, beside SciPy's."""

from __future__ import annotations

import pytest

from recurra.metrics.welch import t_below, t_quantile, welch

stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")


@pytest.mark.parametrize("degrees", [1.0, 2.0, 3.7, 10.0, 250.5])
def test_the_t_distribution_is_that_of_scipy(degrees: float) -> None:
    for value in (0.0, 0.3, 1.0, 2.5, 8.0):
        assert t_below(value, degrees) == pytest.approx(stats.t.cdf(value, degrees), abs=1e-9)
    assert t_quantile(0.975, degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-7)


def test_the_interval_is_that_of_welch() -> None:
    first, second = (0.91, 0.93, 0.90, 0.95), (0.88, 0.89, 0.885)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = welch(first, second)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-7)
    assert not found.holds_zero


def test_values_that_do_not_vary_have_no_noise() -> None:
    assert (welch((1.0, 1.0), (0.5, 0.5)).low, welch((1.0, 1.0), (1.0, 1.0)).holds_zero) == (0.5, True)
