"""The engine's CTC: against the equations in float64 and against all paths; and whose bits depend on what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from oracles import ctc as oracle
from recurra.base.errors import DataError, RunError, ShapeError
from recurra.engine import cpu
from recurra.engine.ctc import ctc_loss
from recurra.losses import ctc as readable

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")


@pytest.fixture(params=cpu.instruction_sets() or ["none"])
def isa(request, monkeypatch):
    monkeypatch.setattr(cpu, "instruction_set", lambda: request.param)
    return request.param


def batch(rng, T, C, sizes, lengths, *, scale=1.0, blank=0, twins=False):
    """Random logits and targets; whatever is behind a row's end is NaN, or no unit."""
    logits = torch.from_numpy((rng.normal(size=(T, len(sizes), C)) * scale).astype(np.float32))
    targets = torch.full((len(sizes), max(sizes, default=0)), 10**6)
    units = [u for u in range(C) if u != blank]
    for n, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        logits[length:, n] = np.nan
        targets[n, :size] = torch.from_numpy(rng.choice(units[: 2 if twins else None], size=size))
    return logits, torch.tensor(lengths), targets, torch.tensor(sizes)


def solved(logits, *rows, blank=0, loss=ctc_loss):
    logits = logits.clone().requires_grad_()
    nats = loss(logits, *rows, blank=blank)
    return nats.detach(), torch.autograd.grad(nats.sum(), logits)[0]


CASES = [
    (7, 4, [3, 0, 1, 2], [7, 5, 1, 6], {}),
    (12, 3, [4, 5, 2], [12, 10, 4], {"twins": True}),
    (40, 33, [16, 17, 15], [40, 39, 31], {"blank": 32}),
    (25, 100, [12, 1], [25, 24], {"scale": 9.0, "blank": 3}),
    (70, 5, [34, 33], [70, 69], {"scale": 4.0}),
]


@pytest.mark.parametrize(("T", "C", "sizes", "lengths", "how"), CASES)
def test_nats_and_gradient_are_those_of_the_equations(isa, T, C, sizes, lengths, how):
    blank = how.get("blank", 0)
    logits, *rows = batch(np.random.default_rng(5), T, C, sizes, lengths, **how)
    nats, gradient = solved(logits, *rows, blank=blank)
    for n, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        expected, slope = oracle.loss(logits[:length, n].double().numpy(), rows[1][n, :size].tolist(), blank)
        assert float(nats[n]) == pytest.approx(expected, rel=2e-6)
        assert_close(gradient[:length, n].double().numpy(), slope, atol=1e-6, rtol=0)
        assert not gradient[length:, n].any()


@pytest.mark.parametrize("target", [[], [1], [1, 1], [2, 1], [1, 2, 1]])
def test_nats_are_the_sum_over_all_paths(isa, target):
    logits = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    rows = torch.tensor([5]), torch.tensor([target], dtype=torch.int64), torch.tensor([len(target)])
    expected = -np.log(oracle.by_paths(logits.astype(float))[tuple(target)])
    assert float(ctc_loss(torch.from_numpy(logits)[:, None], *rows)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("C", "U", "scale"), [(32, 400, 3.0), (8, 300, 40.0)])
def test_float32_is_right_for_two_thousand_frames(isa, C, U, scale):
    # Of such rows torch's gradient in float32 is 1e-2 off. At a scale of 40 most of a row is surely wrong: its
    # probability is about e^-50,000, and states of one frame are further apart than a double holds.
    logits, *rows = batch(np.random.default_rng(2), 2000, C, [U], [2000], scale=scale)
    nats, gradient = solved(logits, *rows)
    expected, slope = oracle.fast_loss(logits[:, 0].double().numpy(), rows[1][0].tolist())
    assert float(nats) == pytest.approx(expected, rel=1e-6)
    assert_close(gradient[:, 0].double().numpy(), slope, atol=1e-5, rtol=0)


def test_the_readable_path_is_the_same():
    logits, *rows = batch(np.random.default_rng(3), 30, 6, [9, 0, 14], [30, 3, 29], twins=True)
    nats, gradient = solved(logits.double(), *rows, loss=readable.ctc_loss)
    for n, (size, length) in enumerate([(9, 30), (0, 3), (14, 29)]):
        expected, slope = oracle.loss(logits[:length, n].double().numpy(), rows[1][n, :size].tolist())
        assert float(nats[n]) == pytest.approx(expected, abs=1e-10)
        assert_close(gradient[:length, n].numpy(), slope, atol=1e-10, rtol=0)
    assert not gradient[3:, 1].any()


def test_a_row_has_the_same_bits_alone_and_for_any_number_of_threads(isa, monkeypatch):
    sizes, lengths = [3, 40, 0, 17], [60, 111, 1, 50]
    logits, *rows = batch(np.random.default_rng(4), 111, 29, sizes, lengths)
    together = solved(logits, *rows)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = solved(logits, *rows)
    assert all(torch.equal(a, b) for a, b in zip(together, shared, strict=True))
    for n, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        alone = solved(
            logits[:length, n : n + 1], *(r[n : n + 1, :size] if r.dim() == 2 else r[n : n + 1] for r in rows)
        )
        assert torch.equal(alone[0], together[0][n : n + 1])
        assert torch.equal(alone[1][:, 0], together[1][:length, n])


def test_no_number_stays_in_its_row(isa):
    logits, *rows = batch(np.random.default_rng(6), 9, 5, [2, 3, 2], [9, 9, 9])
    clean = solved(logits, *rows)
    logits[4, 1, 2] = np.nan
    nats, gradient = solved(logits, *rows)
    assert nats[1].isnan()
    assert gradient[:, 1].isnan().all()
    assert torch.equal(nats[[0, 2]], clean[0][[0, 2]])
    assert torch.equal(gradient[:, [0, 2]], clean[1][:, [0, 2]])


@pytest.mark.parametrize("loss", [ctc_loss, readable.ctc_loss])
def test_a_logit_of_minus_infinity_is_a_probability_of_zero(isa, loss):
    logits, *rows = batch(np.random.default_rng(7), 6, 4, [2, 2], [6, 6])
    rows[1][:] = torch.tensor([[1, 2], [1, 3]])
    logits[:, :, 3] = -np.inf
    nats, gradient = solved(logits, *rows, loss=loss)
    without = solved(logits[:, :1, :3], *(r[:1] for r in rows))
    assert_close(nats[:1], without[0])
    assert_close(gradient[:, :1, :3], without[1])
    assert nats[1] == torch.inf
    assert not gradient[:, 1].isfinite().all()


@pytest.mark.parametrize("loss", [ctc_loss, readable.ctc_loss])
def test_an_empty_target_costs_its_blanks_and_no_frames_cost_nothing(isa, loss):
    logits = torch.zeros(3, 2, 4)
    rows = torch.tensor([3, 0]), torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 0])
    nats, gradient = solved(logits, *rows, loss=loss)
    assert_close(nats, torch.tensor([3 * np.log(4), 0], dtype=torch.float32))
    assert_close(gradient[:, 0], torch.tensor([-0.75, 0.25, 0.25, 0.25]).expand(3, 4))
    assert not gradient[:, 1].any()
    assert loss(torch.zeros(0, 1, 4), torch.tensor([0]), rows[1][:1], torch.tensor([0])).tolist() == [0]
    assert loss(torch.zeros(5, 0, 4), *(r[:0] for r in rows)).shape == (0,)


def test_rows_that_cannot_be_are_named(isa):
    logits, sizes = torch.zeros(4, 3, 5), torch.tensor([2, 3, 4])
    with pytest.raises(DataError, match="rows 1, 2 have fewer frames than their target needs"):
        ctc_loss(logits, torch.tensor([4, 3, 4]), torch.tensor([[1, 1, 9, 9], [1, 1, 2, 9], [1, 2, 2, 3]]), sizes)
    with pytest.raises(DataError, match="rows 2 have the blank, 0, in their target"):
        ctc_loss(logits, torch.tensor([4, 4, 4]), torch.tensor([[1, 2, 0, 0], [1, 2, 3, 0], [1, 2, 0, 3]]), sizes)
    with pytest.raises(ShapeError, match="units from 1 to 5, expected 0 to 4"):
        ctc_loss(logits[:, :1], torch.tensor([4]), torch.tensor([[1, 5]]), torch.tensor([2]))
    with pytest.raises(ShapeError, match="the blank is 5, expected 0 to 4"):
        ctc_loss(logits[:, :1], torch.tensor([4]), torch.tensor([[1, 2]]), torch.tensor([2]), blank=5)


def test_a_second_backward_pass_and_weights_of_rows(isa):
    logits, *rows = batch(np.random.default_rng(8), 9, 5, [2, 3], [9, 8])
    once = solved(logits, *rows)[1]
    logits.requires_grad_()
    nats = ctc_loss(logits, *rows)
    weights = torch.tensor([2.0, -1.0])
    for _ in range(2):
        got = torch.autograd.grad(nats, logits, weights, retain_graph=True)[0]
        assert_close(got, once * weights.unsqueeze(1))
    with pytest.raises(RunError, match="no second derivatives"):
        torch.autograd.grad(torch.autograd.grad(nats.sum(), logits, create_graph=True)[0].sum(), logits)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
@pytest.mark.parametrize("loss", [ctc_loss, readable.ctc_loss])
def test_lengths_and_targets_are_whole_numbers_of_any_type(kind, loss):
    logits, *rows = batch(np.random.default_rng(9), 9, 5, [2, 2], [9, 8])
    assert torch.equal(loss(logits, *(r.to(kind) for r in rows)), loss(logits, *rows))
    with pytest.raises(ShapeError, match=r"lengths have shape \(2, 1\), target lengths \(2,\), expected \(2,\)"):
        loss(logits, rows[0][:, None], *rows[1:])
    with pytest.raises(ShapeError, match=r"target lengths \(\), expected \(2,\)"):
        loss(logits, *rows[:2], torch.tensor(2))


@pytest.mark.parametrize("least", [-1e9, -1e30, -3e38])
def test_a_logit_that_is_as_good_as_minus_infinity_has_a_gradient_that_is_a_number(isa, least):
    # As masks have it. What a difference to a larger logit rounds away is then larger than any exponent.
    logits = torch.tensor([3.0, 1e8, least, 0.0]).repeat(6, 1, 1).clone()
    rows = torch.tensor([6]), torch.tensor([[1, 2]]), torch.tensor([2])
    nats, gradient = solved(logits, *rows)
    assert 2e6 < nats < -2 * least
    assert gradient.isfinite().all()
    assert gradient.abs().max() <= 1
    assert_close(gradient.sum(2), torch.zeros(6, 1), atol=1e-6, rtol=0)
