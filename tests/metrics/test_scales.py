"""Power by scale against loops over pairs of stretches; whole power by Parseval."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.metrics.scales import finest, powers_by_scale


def haar(column: np.ndarray, size: int) -> float:
    """s / 2 times the squared differences between means of neighbouring stretches of s numbers."""
    found = 0.0
    for start in range(0, len(column) - 2 * size + 1, 2 * size):
        a, b = column[start : start + size], column[start + size : start + 2 * size]
        found += size / 2 * (sum(a) / size - sum(b) / size) ** 2
    return found


def test_the_power_of_each_scale_is_that_of_the_loops() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(length, 3)) for length in (8, 13, 8, 1, 3)]
    said = [rng.normal(size=row.shape) for row in rows]
    for axes in ((0,), (0, 1)):
        scales = powers_by_scale(rows, said, axes)
        assert [one.size for one in scales] == [1, 2, 4]
        for one in scales:
            true, ours = (
                sum(haar(line, one.size) for row in each for axis in axes for line in (row.T if axis == 0 else row))
                for each in (rows, said)
            )
            assert one.power == pytest.approx(true, rel=1e-12)
            assert one.kept == pytest.approx(ours / true, rel=1e-12)
        assert sum(one.share for one in scales) == pytest.approx(1)


def test_all_scales_together_are_what_rows_are_beside_their_means() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(16, 2)) for _ in range(3)]
    whole = sum(float(((row - row.mean(0)) ** 2).sum()) for row in rows)
    assert sum(one.power for one in powers_by_scale(rows, rows, (0,))) == pytest.approx(whole)


def test_what_is_smoothed_has_lost_the_finest_scale_and_no_other() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(16, 1)) for _ in range(4)]
    smooth = [row.reshape(8, 2, 1).mean(1).repeat(2, 0) for row in rows]
    kept = [one.kept for one in powers_by_scale(rows, smooth, (0,))]
    assert kept == pytest.approx([0, 1, 1, 1], abs=1e-12)
    gone = [row.copy() for row in rows]
    gone[0][3] = np.nan
    assert powers_by_scale(gone, rows, (0,))[0].kept == pytest.approx(1)  # what is missing is in neither


def test_a_scale_with_hardly_any_power_is_passed_over() -> None:
    row = np.repeat(np.array([0.0, 1.0, 5.0, 2.0]), 2)[:, None]
    fine = finest(powers_by_scale([row], [row], (0,)))
    assert fine is not None
    assert (fine.size, fine.kept) == (2, 1.0)
    assert finest(powers_by_scale([row[:1]], [row[:1]], (0,))) is None
