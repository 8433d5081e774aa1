"""Forecasts that cost nothing and the errors of naive ones: what the series alone tells, whatever stands beside it."""

from __future__ import annotations

import numpy as np

from recurra.base.contracts import Origin
from recurra.tasks.forecasting.naive import Past, drift
from recurra.tasks.forecasting.windows import Floats, Store

H = 4


def store(*each: Floats) -> Store:
    """Series of one target, each with room for a forecast behind it."""
    rooms = [np.concatenate([one, np.full(H, np.nan)])[:, None] for one in each]
    offsets = np.cumsum([0, *map(len, rooms)])[:-1].astype(np.int64)
    steps, number = sum(map(len, rooms)), len(each)
    nothing, ones = np.zeros((steps, 0), np.float32), np.ones((number, 1))
    return Store(
        np.concatenate(rooms), nothing, nothing, offsets, np.array([len(one) for one in each]),
        np.zeros((number, 0), np.float32), np.zeros((number, 0), np.int64), 0 * ones, ones, ones,
        tuple(f"s{k}" for k in range(number)), (), tuple(Origin(f"s{k}.csv") for k in range(number)),
    )  # fmt: skip


def test_a_small_series_has_the_same_naive_errors_alone_and_behind_one_of_twelve_digits_more() -> None:
    rng = np.random.default_rng(0)
    small = 5 + rng.normal(0, 0.1, 60)
    large = 2e12 + np.cumsum(rng.normal(0, 1e10, 60))
    alone, beside = Past(store(small), 2), Past(store(large, small), 2)
    cuts = np.array([0, 2, 3, 56, 60])
    first, second = np.zeros(5, np.int64), np.ones(5, np.int64)
    np.testing.assert_array_equal(beside.naive_error(second, cuts), alone.naive_error(first, cuts))
    np.testing.assert_array_equal(beside.spread(second, cuts), alone.spread(first, cuts))
    apart = small[2:56] - small[:54]
    np.testing.assert_allclose(beside.naive_error(second, cuts)[3, 0], np.abs(apart).mean(), rtol=1e-14)
    np.testing.assert_allclose(beside.spread(second, cuts)[3, 0], np.sqrt((apart**2).mean()), rtol=1e-14)


def test_a_number_that_is_not_finite_in_one_series_leaves_the_errors_of_the_next_as_they_are() -> None:
    endless, counting = np.array([1.0, np.inf, 2.0]), np.arange(6.0)
    past = Past(store(endless, counting), 1)
    assert past.naive_error(np.array([1]), np.array([6])).tolist() == [[1.0]]


def test_drift_goes_on_along_a_line_whose_first_values_are_missing() -> None:
    line = np.arange(20.0)
    line[:10] = np.nan
    said = drift(Past(store(np.zeros(3), line), 1), np.array([1]), np.array([20]), H)
    np.testing.assert_allclose(said[0, :, 0], [20, 21, 22, 23], rtol=1e-14)


def test_drift_stands_still_where_a_single_value_is_known_or_none() -> None:
    one = np.array([np.nan, 7.0, np.nan, 9.0])
    said = drift(Past(store(one), 1), np.array([0, 0, 0]), np.array([1, 2, 3]), 2)
    assert said[:, :, 0].tolist() == [[0, 0], [7, 7], [7, 7]]
