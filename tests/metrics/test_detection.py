"""Mean average precision of boxes, beside loops from COCO's definition and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from oracles import detection as oracle
from recurra.metrics.detection import THRESHOLDS, Boxes, mean_average_precision


def boxes(rows: list[tuple[int, int, list[float], float]]) -> Boxes:
    """Of (picture, class, box, how sure)."""
    return Boxes(
        np.array([row[2] for row in rows], float).reshape(-1, 4),
        np.array([row[0] for row in rows], int),
        np.array([row[1] for row in rows], int),
        np.array([row[3] for row in rows], float),
    )


def drawn(seed: int) -> tuple[Boxes, Boxes]:
    """True boxes of 12 pictures and 3 classes; boxes that are near them, twice the same one, and some of nothing."""
    rng = np.random.default_rng(seed)
    truth, said = [], []
    for picture in range(12):
        for _ in range(rng.integers(0, 4)):
            kind, box = int(rng.integers(3)), [*rng.uniform(0, 20, 2), *rng.uniform(3, 9, 2)]
            truth.append((picture, kind, box, 0.0))
            for _ in range(rng.integers(0, 3)):
                said.append((picture, kind, (np.array(box) + rng.normal(0, 0.6, 4)).tolist(), rng.uniform()))
        if rng.uniform() < 0.5:
            said.append((picture, int(rng.integers(3)), [*rng.uniform(0, 20, 2), 5.0, 5.0], rng.uniform()))
    return boxes(truth), boxes(said)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_loops_from_the_definition(seed: int) -> None:
    truth, said = drawn(seed)
    found = mean_average_precision(truth, said)
    for least, value in zip(THRESHOLDS, found, strict=True):
        each = []
        for kind in range(3):
            true_rows = [
                (int(p), tuple(b))
                for p, b, c in zip(truth.pictures, truth.boxes, truth.classes, strict=True)
                if c == kind
            ]
            rows = zip(said.pictures, said.boxes, said.sure, said.classes, strict=True)
            each.append(
                oracle.average_precision(
                    true_rows, [(int(p), tuple(b), float(s)) for p, b, s, c in rows if c == kind], least
                )
            )
        assert value == pytest.approx(np.mean(each), abs=1e-12)
    assert 0.1 < found[0] < 0.95
    assert found[-1] < found[0]


def test_precision_by_hand() -> None:
    """Right, wrong, right, of three true boxes: recalls to 1/3 have precision 1, to 2/3 2/3, and beyond 0."""
    truth = boxes([(k, 0, [0, 0, 4, 4], 0) for k in range(3)])
    said = boxes([(0, 0, [0, 0, 4, 4], 0.9), (1, 0, [9, 9, 4, 4], 0.8), (1, 0, [0, 0, 4, 4], 0.7)])
    assert mean_average_precision(truth, said, [0.5])[0] == pytest.approx((34 + 33 * 2 / 3) / 101)


def test_a_second_box_around_the_same_is_wrong_and_perfect_boxes_have_1() -> None:
    truth = boxes([(0, 0, [0, 0, 4, 4], 0), (1, 0, [0, 0, 4, 4], 0)])
    twice = boxes([(0, 0, [0, 0, 4, 4], 0.9), (0, 0, [0, 0, 4, 4], 0.8), (1, 0, [0, 0, 4, 4], 0.7)])
    assert mean_average_precision(truth, twice, [0.5])[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert mean_average_precision(truth, truth).tolist() == [1.0] * 10


def test_the_order_of_pictures_does_not_matter_where_all_are_as_sure() -> None:
    truth = boxes([(k, 0, [0, 0, 4, 4], 0) for k in range(4)])
    said = [(k, 0, [0, 0, 4, 4] if k % 2 else [9, 9, 4, 4], 1.0) for k in range(4)]
    one, other = (mean_average_precision(truth, boxes(rows), [0.5])[0] for rows in (said, said[::-1]))
    assert one == other == pytest.approx(51 * 0.5 / 101)  # precision 1/2 up to a recall of 1/2


def test_nothing_said_and_nothing_true() -> None:
    truth = boxes([(0, 0, [0, 0, 4, 4], 0)])
    assert mean_average_precision(truth, boxes([])).tolist() == [0.0] * 10
    assert np.isnan(mean_average_precision(boxes([]), truth)).all()


def test_of_a_picture_and_class_the_hundred_surest_boxes_count() -> None:
    wrong = [(0, 0, [20.0 + k, 0, 4, 4], 1 - k / 1000) for k in range(100)]
    right = (0, 0, [0, 0, 4, 4], 0.1)
    truth = boxes([(0, 0, [0, 0, 4, 4], 0)])
    for some, expected in ((wrong, 0.0), (wrong[1:], 1 / 100)):  # the last of 101, and the last of 100
        assert mean_average_precision(truth, boxes([*some, right]), [0.5])[0] == pytest.approx(expected)


def test_boxes_without_a_number_of_how_sure_they_are_come_last_and_together() -> None:
    nan, there, beside = float("nan"), [0.0, 0.0, 2.0, 2.0], [9.0, 9.0, 2.0, 2.0]
    truth = boxes([(0, 0, there, 1.0), (1, 0, there, 1.0)])
    rows = [(0, 0, there, nan), (1, 0, beside, nan), (1, 0, there, 0.5)]
    found = [mean_average_precision(truth, boxes(some)).tolist() for some in (rows, [rows[1], rows[2], rows[0]])]
    assert found[0] == found[1]
    # The sure one is right; of the three together two are: recall 1/2 at a precision of 1, then 1 at 2/3.
    assert found[0][0] == pytest.approx((51 + 50 * 2 / 3) / 101)
