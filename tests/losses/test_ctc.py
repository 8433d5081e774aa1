"""CTC against a sum over all paths, and what a row may not notice."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from recurra.base.errors import DataError, ShapeError
from recurra.losses.ctc import ctc_loss, frames_needed


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def by_all_paths(logits, target, blank=0):
    """-log of the sum of the products of all paths that collapse to the target. logits: (T, C)"""
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    total = 0.0
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        merged = [unit for t, unit in enumerate(path) if t == 0 or unit != path[t - 1]]
        if [unit for unit in merged if unit != blank] == list(target):
            total += float(np.prod([probs[t, unit] for t, unit in enumerate(path)]))
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize(
    ("target", "blank"), [([1, 2], 0), ([1, 1], 0), ([], 0), ([2], 0), ([0, 2], 1), ([1, 1, 1], 0)]
)
def test_ctc_is_the_sum_over_all_paths(rng, target, blank):
    logits = rng.normal(size=(5, 3))
    rows = torch.tensor([target or [0]])
    found = ctc_loss(
        torch.from_numpy(logits)[:, None], torch.tensor([5]), rows, torch.tensor([len(target)]), blank=blank
    )
    assert float(found) == pytest.approx(by_all_paths(logits, target, blank), abs=1e-9)


def test_a_row_alone_is_as_in_a_batch(rng):
    logits = torch.from_numpy(rng.normal(size=(6, 2, 4))).requires_grad_()
    targets, lengths, sizes = torch.tensor([[1, 2, 3], [3, 99, 99]]), torch.tensor([6, 4]), torch.tensor([3, 1])
    both = ctc_loss(logits, lengths, targets, sizes)
    both.sum().backward()
    alone = logits.detach()[:4, 1:].clone().requires_grad_()
    one = ctc_loss(alone, lengths[1:], targets[1:, :1], sizes[1:])
    one.sum().backward()
    assert_close(both[1:], one)
    assert_close(logits.grad[:4, 1:], alone.grad)
    assert not logits.grad[4:, 1].any()


def test_the_gradient_is_that_of_the_logits(rng):
    logits = torch.from_numpy(rng.normal(size=(5, 2, 3))).requires_grad_()
    targets, lengths, sizes = torch.tensor([[1, 1], [2, 1]]), torch.tensor([5, 3]), torch.tensor([2, 2])
    assert torch.autograd.gradcheck(lambda z: ctc_loss(z, lengths, targets, sizes), (logits,))


def test_frames_that_a_text_needs():
    assert frames_needed(torch.tensor([[1, 1, 2], [1, 1, 1], [5, 5, 5]]), torch.tensor([3, 3, 0])).tolist() == [4, 5, 0]


def test_wrong_targets_are_refused(rng):
    logits = torch.zeros(4, 1, 3)
    with pytest.raises(DataError, match="rows 0 have the blank, 0"):
        ctc_loss(logits, torch.tensor([4]), torch.tensor([[0]]), torch.tensor([1]))
    with pytest.raises(ShapeError, match="lengths from 5 to 5, expected 0 to 4"):
        ctc_loss(logits, torch.tensor([5]), torch.tensor([[1]]), torch.tensor([1]))
