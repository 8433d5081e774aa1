"""Errors of numbers and overlaps of boxes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.metrics.overlaps import overlaps
from recurra.metrics.regression import determination, regression_scores

TRUTH = np.array([[1.0, 10.0], [2.0, 10.0], [6.0, 40.0]])
SAID = np.array([[2.0, 10.0], [2.0, 20.0], [4.0, 20.0]])


def test_scores_by_hand_are_means_over_targets_and_each_of_them() -> None:
    found = {s.name: s.value for s in regression_scores(TRUTH, SAID, ("a", "b"), split="dev")}
    # a: errors 1, 0, 2; deviations from 3: -2, -1, 3.    b: errors 0, 10, 20; deviations from 20: -10, -10, 20.
    expected = {
        "mae[a]": 1.0, "mae[b]": 10.0, "mae": 5.5,
        "rmse[a]": (5 / 3) ** 0.5, "rmse[b]": (500 / 3) ** 0.5, "rmse": ((5 / 3) ** 0.5 + (500 / 3) ** 0.5) / 2,
        "r2[a]": 1 - 5 / 14, "r2[b]": 1 - 500 / 600, "r2": 1 - (5 / 14 + 500 / 600) / 2,
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-12)
    assert [s.name for s in regression_scores(TRUTH[:, :1], SAID[:, :1], ("a",), split="dev")] == ["mae", "rmse", "r2"]
    ways = {s.name: s.better for s in regression_scores(TRUTH, SAID, ("a", "b"), split="dev")}
    assert (ways["mae"], ways["rmse"], ways["r2"]) == ("lower", "lower", "higher")


def test_a_target_that_never_changes_is_right_or_worth_nothing() -> None:
    """As scikit-learn has it (`r2_score`, force_finite)."""
    same = np.full((4, 2), 3.0)
    assert determination(same, same + [[0, 1]] * 4).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("rows", [3, 6, 7, 100])
def test_a_target_that_never_changes_is_worth_nothing_where_its_mean_is_rounded(rows: int) -> None:
    same = np.full((rows, 1), 0.1)  # of so many rows the mean is not 0.1 to the last bit
    assert same.mean() != 0.1
    assert determination(same, same + 0.05).tolist() == [0.0]
    assert determination(same, same).tolist() == [1.0]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 4, 2], 1.0),  # the same
        ([2, 0, 4, 2], 4 / 12),  # half of each is shared
        ([1, 0.5, 2, 1], 2 / 8),  # inside
        ([4, 0, 4, 2], 0.0),  # edges touch
        ([5, 3, 4, 2], 0.0),  # both ways apart by 1: the product of two negative sides is no area
        ([0, 0, 0, 2], 0.0),  # no area
        ([-1, -1, 6, 4], 8 / 24),  # around it
    ],
)
def test_a_box_shares_as_much_as_by_hand(box: list[float], expected: float) -> None:
    truth, said = np.array([[0.0, 0, 4, 2]]), np.array([box], float)
    assert overlaps(truth, said).tolist() == overlaps(said, truth).tolist() == [pytest.approx(expected, rel=1e-12)]
    assert overlaps(truth * 0, said * 0).tolist() == [0.0]


def test_boxes_have_their_mean_overlap_and_the_share_that_is_found() -> None:
    truth = np.tile([0.0, 0, 4, 2], (3, 1))
    said = np.array([[0.0, 0, 4, 2], [2, 0, 4, 2], [0, 0, 4, 1]])  # 1, 1/3 and 1/2
    found = regression_scores(truth, said, ("x", "y", "width", "height"), split="test", boxes=True)
    assert [(s.name, s.unit) for s in found[:4]] == [(word, "0..1") for word in ("iou", "iou_50", "map", "map_50")]
    # All are as sure: a precision of 2/3 up to a recall of 2/3 at 0.5, and of 1/3 up to 1/3 at each of nine others.
    expected = [(1 + 1 / 3 + 1 / 2) / 3, 2 / 3, (67 * 2 / 3 + 9 * 34 / 3) / 1010, 67 * 2 / 3 / 101]
    assert [s.value for s in found[:4]] == pytest.approx(expected)
