"""Thresholds from clean data: by quantile, by alarms a day, by the tail."""

from __future__ import annotations

import numpy as np
import pytest

from oracles import anomalies as oracle
from recurra.base.errors import ConfigError, DataError
from recurra.metrics.anomalies.thresholds import Rule, pareto


def value(text: str, *clean: object, day: float | None = 24.0) -> float:
    return Rule.of(text).value([np.asarray(one, float) for one in clean], day)


def test_a_quantile_leaves_its_share_above() -> None:
    clean = np.random.default_rng(0).permutation(1000)
    assert (clean > value("quantile=0.99", clean)).sum() == 9  # the 991st of 1,000, the first at or above the quantile


@pytest.mark.parametrize("rate", [0.5, 2, 5])
def test_the_threshold_is_the_smallest_from_which_on_clean_days_have_so_few_alarms(
    rate: float,
) -> None:
    rng = np.random.default_rng(1)
    clean = [np.round(rng.normal(size=T), 1) for T in (240, 480)]

    def alarms(threshold: float) -> int:
        return sum(len(oracle.runs(one > threshold)) for one in clean)

    found = value(f"alarms={rate}", *clean)
    days = 720 / 24
    higher = sorted({float(x) for one in clean for x in one if x >= found})
    assert all(alarms(one) <= rate * days for one in higher)
    below = max(float(x) for one in clean for x in one if x < found)
    assert alarms(below) > rate * days


def test_alarms_that_the_clean_data_cannot_tell_are_refused() -> None:
    with pytest.raises(DataError, match=r"1\.0 days of clean data tell no rate of 0\.1 alarms"):
        value("alarms=0.1", np.arange(24))
    with pytest.raises(DataError, match="stamps are no dates"):
        value("alarms=1", np.arange(24), day=None)
    with pytest.raises(DataError, match="take a rate below that, got 20"):
        value("alarms=20", np.arange(24))
    with pytest.raises(DataError, match=r"tell no quantile 0\.999"):
        value("quantile=0.999", np.arange(24))


def test_a_clean_series_without_a_score_changes_no_threshold_by_alarms() -> None:
    clean = np.random.default_rng(4).normal(size=240)
    assert value("alarms=2", [], clean) == value("alarms=2", clean) == value("alarms=2", clean, [])


def test_clean_scores_that_are_all_the_same_tell_no_rate_of_alarms() -> None:
    with pytest.raises(DataError, match=r"all 240 clean scores are 1.5, so that no threshold has an alarm; .*value="):
        value("alarms=2", np.full(120, 1.5), np.full(120, 1.5))


@pytest.mark.parametrize("gamma", [-0.3, 0.0, 0.4])
def test_the_tail_is_fitted_by_the_greatest_likelihood(gamma: float) -> None:
    u = np.random.default_rng(2).random(500)
    above = 2 * (-np.log(u) if gamma == 0 else (u**-gamma - 1) / gamma)
    shape, scale = pareto(above)
    best = oracle.pareto_log_likelihood(above, shape, scale)
    for a in np.linspace(-0.05, 0.05, 5):
        for b in np.linspace(0.9, 1.1, 5):
            assert oracle.pareto_log_likelihood(above, shape + a, scale * b) <= best + 1e-6
    assert shape == pytest.approx(gamma, abs=0.12)  # two standard errors of 500 values


def test_the_tail_reaches_further_than_the_data() -> None:
    clean = np.random.default_rng(3).exponential(size=20_000)
    assert value("tail=0.00001", clean) == pytest.approx(np.log(1e5), rel=0.2)  # of an exponential distribution
    assert value("tail=0.00001", clean) > clean.max()
    with pytest.raises(DataError, match="needs 10 clean scores above"):
        value("tail=0.001", np.ones(100))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quantle=0.9", "unknown word 'quantle'. Did you mean 'quantile'"),
        ("quantile=1", "between 0 and 1, such as quantile=0.999; got '1'"),
        ("tail=x", "between 0 and 0.02, such as tail=0.0001; got 'x'"),
        ("alarms=nan", "got 'nan'"),
    ],
)
def test_a_rule_that_is_none_is_named_with_what_is(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Rule.of(text)
