"""Linear models of sparse rows that are solved, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.losses import binary_cross_entropy, cross_entropy
from recurra.training import SparseRows, chosen_l2, solve

sklearn = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")


def rows_of(table: np.ndarray) -> SparseRows:  # type: ignore[type-arg]
    row, column = np.nonzero(table)
    starts = np.concatenate([[0], np.bincount(row, minlength=len(table)).cumsum()])
    return SparseRows(
        torch.from_numpy(column),
        torch.from_numpy(table[row, column]).float(),
        torch.from_numpy(starts),
        table.shape[1],
    )


@pytest.fixture
def table() -> np.ndarray:  # type: ignore[type-arg]
    """Sixty rows of a few numbers among thirty, one row of none, and a column that nothing stands in."""
    draw = np.random.default_rng(3)
    numbers = draw.normal(size=(60, 30)) * (draw.random((60, 30)) < 0.2)
    numbers[7], numbers[:, 11] = 0, 0
    return numbers


def test_products_are_those_of_the_whole_matrix(table: np.ndarray) -> None:  # type: ignore[type-arg]
    x, weight = rows_of(table), torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.times(weight), torch.from_numpy(table).float() @ weight, atol=1e-5, rtol=1e-5)
    back = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        x.transposed().times(back), torch.from_numpy(table.T.copy()).float() @ back, atol=1e-5, rtol=1e-5
    )
    some = torch.tensor([5, 7, 0])
    torch.testing.assert_close(x.some(some).times(weight), x.times(weight)[some])


@pytest.mark.parametrize("l2", [0.03, 0.1, 1.0])
def test_weights_of_classes_are_those_of_scikit_learn(table: np.ndarray, l2: float) -> None:  # type: ignore[type-arg]
    gold = np.random.default_rng(4).integers(0, 3, 60)
    theirs = sklearn.LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit(table, gold)

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(logits, torch.from_numpy(gold)[rows]).total

    weight, bias = solve(rows_of(table), torch.arange(60), labels=3, l2=l2, loss=loss)
    # It ends where no slope is over 1e-6 of N = 60, and the flattest direction has a curvature of l2 / N = 5e-4.
    np.testing.assert_allclose(weight.T, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(bias - bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)


def test_weights_of_several_labels_are_those_of_one_regression_each(table: np.ndarray) -> None:  # type: ignore[type-arg]
    gold = (np.random.default_rng(5).random((60, 2)) < 0.4).astype(np.float32)

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        return binary_cross_entropy(logits, torch.from_numpy(gold)[rows]).total

    weight, bias = solve(rows_of(table), torch.arange(60), labels=2, l2=0.1, loss=loss)
    for label in range(2):
        theirs = sklearn.LogisticRegression(C=10, tol=1e-10, max_iter=10_000).fit(table, gold[:, label])
        np.testing.assert_allclose(weight[:, label], theirs.coef_[0], atol=2e-3)
        np.testing.assert_allclose(bias[label], theirs.intercept_[0], atol=2e-3)


def test_the_same_rows_give_the_same_bits(table: np.ndarray) -> None:  # type: ignore[type-arg]
    gold = torch.from_numpy(np.random.default_rng(4).integers(0, 3, 60))
    first, second = (
        solve(
            rows_of(table),
            torch.arange(60),
            labels=3,
            l2=0.1,
            loss=lambda logits, rows: cross_entropy(logits, gold[rows]).total,
        )
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_no_row_is_scored_by_weights_that_have_seen_its_label(table: np.ndarray) -> None:  # type: ignore[type-arg]
    gold, learned, scored = torch.arange(60) % 2, set[int](), []

    def loss(logits: Tensor, rows: Tensor) -> Tensor:
        if logits.requires_grad:
            learned.update(rows.tolist())
        else:
            scored.append(rows.tolist())
            assert not learned & set(rows.tolist())
            learned.clear()
        return cross_entropy(logits, gold[rows]).total

    chosen_l2(rows_of(table), labels=2, strengths=[0.1, 1.0], loss=loss)
    assert sorted(row for rows in scored for row in rows) == sorted([*range(60)] * 2)


def test_labels_without_a_pattern_choose_the_strongest_penalty(table: np.ndarray) -> None:  # type: ignore[type-arg]
    gold = torch.from_numpy(np.random.default_rng(9).integers(0, 2, 60))
    found = chosen_l2(
        rows_of(table),
        labels=2,
        strengths=[0.01, 1.0, 100.0],
        loss=lambda logits, rows: cross_entropy(logits, gold[rows]).total,
    )
    assert found == 100.0
