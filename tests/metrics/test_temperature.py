"""Temperature scaling beside a search that shares nothing with it: the loss itself, over a grid of temperatures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurra.metrics import sigmoid_temperature, softmax_temperature

N, C = 60, 3
# From 0.2 to 20, each 0.1 % above the one before.
GRID = 0.2 * 1.001 ** np.arange(4600)


def softmax_loss(scores: np.ndarray, gold: np.ndarray, T: float, spread: float) -> float:
    """Cross-entropy in float64 loops, with a share of the targets spread over all labels."""
    total = 0.0
    for row, right in zip(scores, gold, strict=True):
        logs = [z / T - math.log(sum(math.exp(y / T) for y in row)) for z in row]
        total -= (1 - spread) * logs[right] + spread * sum(logs) / len(row)
    return total


def best_of_grid(loss) -> float:
    values = [loss(T) for T in GRID[::40]]
    near = int(np.argmin(values)) * 40
    fine = GRID[max(near - 40, 0) : near + 40]
    return float(fine[int(np.argmin([loss(T) for T in fine]))])


@pytest.mark.parametrize("factor", [0.5, 3.0, 6.0])
def test_the_temperature_is_where_the_loss_is_lowest(factor: float) -> None:
    random = np.random.default_rng(1)
    scores = random.normal(size=(N, C))
    gold = np.array([random.choice(C, p=np.exp(row) / np.exp(row).sum()) for row in scores])
    found = softmax_temperature(factor * scores, gold)
    spread = 1 / (N + 1) if factor == 0.5 else 0.0  # to be surer than the model was takes more than to be less sure
    assert found == pytest.approx(best_of_grid(lambda T: softmax_loss(factor * scores, gold, T, spread)), rel=2e-3)
    assert (found < 1) == (factor == 0.5)


def test_the_temperature_of_many_labels_is_where_the_loss_is_lowest() -> None:
    random = np.random.default_rng(2)
    scores = 4 * random.normal(size=(N, C))
    gold = (random.random((N, C)) < 1 / (1 + np.exp(-scores / 4))).astype(float)

    def loss(T: float) -> float:
        return float((np.logaddexp(0, scores / T) - gold * scores / T).sum())

    assert sigmoid_temperature(scores, gold) == pytest.approx(best_of_grid(loss), rel=2e-3)


def test_a_few_rows_that_are_all_right_do_not_call_for_certainty() -> None:
    """Two rows: 2/3 of the targets are the label's, the rest is spread, so p = 2/3 + 1/6 and T = 1 / log 5."""
    assert softmax_temperature(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) == pytest.approx(1 / math.log(5))


@pytest.mark.parametrize("scores", [np.zeros((4, 2)), np.zeros((0, 2)), np.full((2, 2), np.nan)])
def test_scores_that_tell_nothing_are_left_as_they_are(scores: np.ndarray) -> None:
    assert softmax_temperature(scores, np.zeros(len(scores), dtype=np.int64)) == 1.0


def test_rows_that_are_all_right_and_sure_of_it_are_left_as_they_are() -> None:
    assert softmax_temperature(9.0 * np.eye(2), np.array([0, 1])) == 1.0


def test_scores_that_are_always_wrong_have_the_highest_temperature_and_stay_finite() -> None:
    wrong = softmax_temperature(np.array([[1e4, -1e4]] * 9), np.ones(9, dtype=np.int64))
    assert wrong == pytest.approx(1000)
