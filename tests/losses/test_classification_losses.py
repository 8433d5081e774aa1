"""Cross-entropies against float64 NumPy, hand-computed numbers and torch's own gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.base.errors import DataError, ShapeError
from recurra.losses import (
    balanced_weights,
    binary_cross_entropy,
    binary_cross_entropy_per_row,
    classification,
    cross_entropy,
    cross_entropy_per_row,
    fixed_sum,
)


def softmax_oracle(logits, targets, weights, smoothing):
    """-sum_c q_c w_c log p_c for each row, float64 loops."""
    rows = []
    for z, y in zip(logits, targets, strict=True):
        log_p = z - z.max() - math.log(sum(math.exp(v - z.max()) for v in z))
        q = [(1 - smoothing) * (c == y) + smoothing / len(z) for c in range(len(z))]
        rows.append(-sum(q[c] * weights[c] * log_p[c] for c in range(len(z))))
    return np.array(rows)


def sigmoid_oracle(logits, targets, weights):
    """-w (y log s + (1 - y) log(1 - s)) for each row, float64, with log s = -log1p(exp(-z)) kept from overflow."""

    def log_sigmoid(z):
        return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))

    return np.array(
        [
            -sum(w * (y * log_sigmoid(z) + (1 - y) * log_sigmoid(-z)) for z, y, w in zip(zs, ys, weights, strict=True))
            for zs, ys in zip(logits, targets, strict=True)
        ]
    )


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_formula_in_float64(rng, smoothing, weighted):
    logits, targets = rng.normal(size=(11, 4)) * 3, rng.integers(0, 4, size=11)
    weights = rng.uniform(0.2, 3, size=4) if weighted else np.ones(4)
    expected = softmax_oracle(logits, targets, weights, smoothing)
    options = {"class_weights": torch.tensor(weights) if weighted else None, "label_smoothing": smoothing}
    rows = cross_entropy_per_row(torch.tensor(logits), torch.tensor(targets), **options)
    loss = cross_entropy(torch.tensor(logits), torch.tensor(targets), **options)
    np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(loss.total.item(), expected.sum(), rtol=1e-13)
    assert loss.count == 11


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy_is_the_formula_in_float64(rng, weighted):
    logits, targets = rng.normal(size=(9, 3)) * 3, rng.integers(0, 2, size=(9, 3)).astype(float)
    weights = rng.uniform(0.2, 3, size=3) if weighted else np.ones(3)
    expected = sigmoid_oracle(logits, targets, weights)
    given = torch.tensor(weights) if weighted else None
    rows = binary_cross_entropy_per_row(torch.tensor(logits), torch.tensor(targets), class_weights=given)
    loss = binary_cross_entropy(torch.tensor(logits), torch.tensor(targets), class_weights=given)
    np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(loss.total.item(), expected.sum(), rtol=1e-13)
    assert loss.count == 27


def test_a_weight_scales_the_loss_of_its_class_even_in_a_batch_of_one():
    logits = torch.zeros(1, 2, dtype=torch.float64)
    loss = cross_entropy(logits, torch.tensor([1]), class_weights=torch.tensor([1.0, 5.0]))
    assert loss.mean.item() == pytest.approx(5 * math.log(2), rel=1e-15)
    assert loss.count == 1


def test_large_logits_neither_overflow_nor_lose_the_answer():
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    assert cross_entropy_per_row(logits, torch.tensor([0, 1])).tolist() == [0.0, 2e4]
    answers = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert binary_cross_entropy_per_row(logits, answers).tolist() == [0.0, 2e4]


def test_the_gradients_at_large_logits_are_finite_and_bounded_by_one():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    cross_entropy(logits, torch.tensor([1])).total.backward()
    assert logits.grad.tolist() == [[1.0, -1.0, 0.0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_agree_with_finite_differences(rng, smoothing):
    logits = torch.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    weights, targets = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0, 2, 1, 1])
    answers = torch.tensor(rng.integers(0, 2, size=(4, 3)).astype(float))
    assert torch.autograd.gradcheck(
        lambda z: cross_entropy(z, targets, class_weights=weights, label_smoothing=smoothing).total, logits
    )
    assert torch.autograd.gradcheck(lambda z: binary_cross_entropy(z, answers, class_weights=weights).total, logits)


def test_the_row_that_is_not_finite_is_the_only_one():
    logits = torch.zeros(4, 3)
    logits[2, 1] = math.nan
    assert cross_entropy_per_row(logits, torch.zeros(4, dtype=torch.int64)).isnan().tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert binary_cross_entropy_per_row(logits, torch.zeros(4, 3)).isnan().tolist() == [False, False, True, False]


def test_a_row_does_not_notice_its_neighbours(rng):
    logits, targets = torch.tensor(rng.normal(size=(65, 7)), dtype=torch.float32), torch.tensor([3] * 65)
    together = cross_entropy_per_row(logits, targets)
    alone = torch.cat([cross_entropy_per_row(logits[i : i + 1], targets[i : i + 1]) for i in range(65)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    loss = cross_entropy(torch.zeros(5000, 2, dtype=dtype), torch.zeros(5000, dtype=torch.int64))
    assert loss.total.dtype == torch.float32
    assert loss.mean.item() == pytest.approx(math.log(2), rel=1e-6)


def test_no_rows_have_no_loss():
    assert cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).mean.item() == 0
    assert binary_cross_entropy(torch.zeros(0, 3), torch.zeros(0, 3)).count == 0


def test_the_sum_does_not_depend_on_the_number_of_threads(rng):
    terms, before = torch.tensor(rng.random(300_001), dtype=torch.float32), torch.get_num_threads()
    try:
        sums = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            sums.append(fixed_sum(terms).item())
    finally:
        torch.set_num_threads(before)
    assert sums[0] == sums[1] == sums[2]
    assert sums[0] == pytest.approx(math.fsum(terms.tolist()), rel=1e-6)  # float32 has 24 bits


def test_the_sum_keeps_every_term_and_its_gradient():
    terms = torch.arange(20_000, dtype=torch.float64, requires_grad=True)
    fixed_sum(terms).backward()
    assert fixed_sum(terms).item() == 20_000 * 19_999 / 2
    assert torch.equal(terms.grad, torch.ones(20_000, dtype=torch.float64))


def test_balanced_weights_give_each_class_the_same_share():
    assert balanced_weights([30, 10]) == [2 / 3, 2.0]
    with pytest.raises(DataError, match="class 1 has 0 training rows"):
        balanced_weights([3, 0])


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), r"logits are \(3,\) of torch.float32, expected \(N, C\)"),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), r"targets are \(3,\) of torch.int64, expected \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(2), r"targets are \(2,\) of torch.float32"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), r"targets hold 3, expected classes 0 to 2"),
        (torch.zeros(2, 3), torch.tensor([0, -100]), r"targets hold -100, expected classes 0 to 2"),
    ],
)
def test_wrong_shapes_and_targets_are_refused_by_name(logits, targets, message):
    with pytest.raises(ShapeError, match=message):
        cross_entropy(logits, targets)


def test_no_target_is_skipped_where_the_check_is_left_to_the_device(monkeypatch):
    monkeypatch.setattr(classification, "_check_classes", lambda logits, targets: None)
    with pytest.raises(IndexError, match="-100"):  # what a GPU asserts; torch's own default is a loss of 0
        cross_entropy(torch.zeros(2, 3), torch.tensor([0, -100]))


def test_weights_and_answers_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"class_weights have shape \(2,\), expected \(3,\)"):
        cross_entropy(torch.zeros(1, 3), torch.tensor([0]), class_weights=torch.ones(2))
    with pytest.raises(ShapeError, match=r"targets are \(1, 2\) of torch.float32, expected \(1, 3\)"):
        binary_cross_entropy(torch.zeros(1, 3), torch.zeros(1, 2))
    with pytest.raises(ShapeError, match=r"targets are \(1, 3\) of torch.int64"):
        binary_cross_entropy(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.int64))
