"""Spearman's correlation of ranks."""

from __future__ import annotations

import math

import pytest

from recurra.metrics.spearman import pearson, spearman


def test_ranks_are_correlated_and_equal_numbers_share_one() -> None:
    """By hand: ranks 1 2 3 4 and 2 1 4 3 differ by 1 each: 1 - 6 * 4 / (4 * 15) = 0.6. With ties: ranks 1.5 1.5 3
    beside 1 2 3 are, less their mean 2, (-.5, -.5, 1) and (-1, 0, 1): 1.5 / sqrt(1.5 * 2)."""
    assert spearman([10, 20, 30, 40], [2, 1, 9, 5]) == pytest.approx(0.6)
    assert spearman([1, 1, 7], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(3))
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_what_has_no_order_has_no_correlation() -> None:
    assert math.isnan(spearman([], []))
    assert math.isnan(spearman([1], [2]))
    assert math.isnan(spearman([1, 1], [1, 2]))


@pytest.mark.parametrize("rows", [3, 6, 7, 10])
def test_numbers_that_are_all_equal_have_no_correlation_where_their_mean_is_rounded(rows: int) -> None:
    assert math.isnan(pearson([0.1] * rows, [0.7] * rows))
    assert math.isnan(pearson([0.1] * rows, list(range(rows))))
    assert math.isnan(pearson(list(range(rows)), [0.1] * rows))
    assert pearson([0.1, 0.1, 0.1 + 1e-9], [1, 1, 2]) == pytest.approx(1)
