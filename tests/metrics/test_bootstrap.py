"""The paired bootstrap, beside one that is written out, and beside theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from oracles import bootstrap as oracle
from recurra.metrics.bootstrap import paired_bootstrap


def accuracy(right: Any) -> Callable[[Any], Mapping[str, float]]:
    return lambda drawn: {"accuracy": float(np.mean(right[drawn]))}


def test_the_bootstrap_is_the_one_written_out_in_numpy() -> None:
    draws = np.random.default_rng(0)
    first, second, third = (draws.random(80) < share for share in (0.7, 0.8, 0.7))
    found = paired_bootstrap(80, [accuracy(first), accuracy(second), accuracy(third)], number=300, seed=5)
    for right, one in zip((second, third), found, strict=True):
        low, high, above = oracle.bootstrap(first.astype(float), right.astype(float), number=300, seed=5)
        got = one["accuracy"]
        assert (got.low, got.high, got.above) == pytest.approx((low, high, above), abs=1e-12)
        assert got.number == 300


def test_the_interval_is_that_of_theory_where_there_are_many_rows() -> None:
    draws = np.random.default_rng(1)
    first = draws.normal(size=2000)
    second = first + 0.05 + draws.normal(size=2000, scale=0.5)
    (found,) = paired_bootstrap(
        2000, [lambda i: {"x": first[i].mean()}, lambda i: {"x": second[i].mean()}], number=2000
    )
    gap = second - first
    half = 1.96 * gap.std() / math.sqrt(2000)
    # 2,000 draws know a percentile of the tail to about 5 % of the interval's half.
    assert (found["x"].low, found["x"].high) == pytest.approx((gap.mean() - half, gap.mean() + half), abs=0.15 * half)
    assert not found["x"].holds_zero


def test_equal_systems_are_as_often_better_as_worse() -> None:
    right = np.arange(10) < 5
    (found,) = paired_bootstrap(10, [accuracy(right), accuracy(right)], number=50)
    assert (found["accuracy"].low, found["accuracy"].high, found["accuracy"].above) == (0.0, 0.0, 0.5)
    assert found["accuracy"].holds_zero


def test_draws_without_a_number_are_left_out() -> None:
    def sometimes(drawn: Any) -> dict[str, float]:
        return {"x": 1.0 if 0 in drawn else math.nan}

    (found,) = paired_bootstrap(5, [lambda drawn: {"x": 0.0, "other": 1.0}, sometimes], number=100)
    assert found["x"].low == found["x"].high == 1.0
    assert 0 < found["x"].number < 100
    assert set(found) == {"x"}, "what only one has is no difference"


def test_a_score_without_any_number_tells_nothing_apart() -> None:
    (found,) = paired_bootstrap(5, [lambda drawn: {"x": 0.0}, lambda drawn: {"x": math.nan}], number=9)
    assert found["x"].number == 0
    assert found["x"].holds_zero
