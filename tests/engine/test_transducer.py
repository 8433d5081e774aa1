"""The engine's transducer loss: against the equations in float64 and all alignments; and whose bits depend on what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from oracles import transducer as oracle
from recurra.base.errors import DataError, RunError, ShapeError
from recurra.engine import cpu
from recurra.engine import transducer as native
from recurra.losses import transducer as readable
from recurra.losses.transducer import Rows


def transducer_loss(*rows, **how):
    return native.transducer_loss(Rows(*rows, **how))


def in_torch(*rows, **how):
    return readable.transducer_loss(Rows(*rows, **how))


pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")


@pytest.fixture(params=cpu.instruction_sets() or ["none"])
def isa(request, monkeypatch):
    monkeypatch.setattr(cpu, "instruction_set", lambda: request.param)
    return request.param


def problem(T, U, D, V, *, joint, lengths, sizes, scale=1.0, blank=0, seed=0):
    """Both sides, W and b, and the rows; behind a row's ends are NaN and no units."""
    rng = np.random.default_rng(seed)
    N = len(lengths)

    def drawn(*shape):
        return torch.from_numpy((rng.normal(size=shape) * scale).astype(np.float32))

    left, right = drawn(T, N, D), drawn(U + 1, N, D)
    floats = [left, right] + ([drawn(V, D) / D**0.5, drawn(V)] if joint else [None, None])
    units = [v for v in range(V if joint else D) if v != blank]
    targets = torch.full((N, U), 10**6)
    for n, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        left[length:, n], right[size + 1 :, n] = np.nan, np.nan
        targets[n, :size] = torch.from_numpy(rng.choice(units, size=size))
    return floats, (torch.tensor(lengths), targets, torch.tensor(sizes))


def solved(floats, rows, *, loss=transducer_loss, weights=None, **how):
    left, right, weight, bias = (None if t is None else t.clone().requires_grad_() for t in floats)
    nats = loss(left, right, *rows, weight=weight, bias=bias, **how)
    leaves = [t for t in (left, right, weight, bias) if t is not None]
    total = nats.sum() if weights is None else (nats * weights).sum()
    return nats.detach(), list(torch.autograd.grad(total, leaves))


def expected(floats, rows, weights=None, **how):
    """Nats, and gradients of their sum, row by row in float64."""
    left, right, weight, bias = (None if t is None else t.double().numpy() for t in floats)
    lengths, targets, sizes = (t.tolist() for t in rows)
    found = [np.zeros_like(t) for t in (left, right, weight, bias) if t is not None]
    nats = []
    for n, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        share = 1.0 if weights is None else float(weights[n])
        one, made = oracle.gradients(left[:length, n], right[: size + 1, n], weight, bias, targets[n][:size], **how)
        nats.append(one)
        found[0][:length, n], found[1][: size + 1, n] = made[0] * share, made[1] * share
        for to, some in zip(found[2:], made[2:], strict=True):
            to += some * share
    return nats, found


CASES = [
    ({"T": 4, "U": 2, "D": 5, "V": 5, "joint": False, "lengths": [4, 1, 3], "sizes": [2, 0, 1]}, {}),
    ({"T": 7, "U": 19, "D": 8, "V": 6, "joint": True, "lengths": [7, 1], "sizes": [19, 18]}, {"blank": 5}),
    ({"T": 30, "U": 17, "D": 33, "V": 40, "joint": True, "lengths": [30, 29], "sizes": [16, 17]}, {"fast_emit": 0.3}),
    ({"T": 40, "U": 33, "D": 50, "V": 50, "joint": False, "lengths": [40] * 9, "sizes": [33] * 9, "scale": 5.0}, {}),
]


@pytest.mark.parametrize(("size", "how"), CASES)
def test_nats_and_gradients_are_those_of_the_equations(isa, size, how):
    floats, rows = problem(**size, blank=how.get("blank", 0))
    nats, gradients = solved(floats, rows, **how)
    right_nats, right = expected(floats, rows, **how)
    assert nats.tolist() == pytest.approx(right_nats, rel=2e-6)
    for made, good in zip(gradients, right, strict=True):
        # Gradients of W are sums over rows, frames and units.
        assert_close(made.double().numpy(), good, atol=3e-6 * max(1.0, np.abs(good).max()), rtol=0)


@pytest.mark.parametrize("target", [[], [1], [2, 2], [1, 2, 1]])
def test_nats_are_the_sum_over_all_alignments(isa, target):
    floats, _ = problem(4, len(target), 3, 3, joint=False, lengths=[4], sizes=[len(target)])
    rows = torch.tensor([4]), torch.tensor([target], dtype=torch.int64), torch.tensor([len(target)])
    logits, _ = oracle.joint(floats[0][:, 0].double().numpy(), floats[1][:, 0].double().numpy(), None, None)
    right = -np.log(oracle.by_alignments(logits, target))
    assert float(transducer_loss(*floats[:2], *rows)) == pytest.approx(right, rel=1e-6)


def test_the_readable_path_is_the_same():
    floats, rows = problem(9, 6, 7, 5, joint=True, lengths=[9, 1, 5], sizes=[6, 3, 0])
    double = [t.double() for t in floats]
    for how in ({}, {"fast_emit": 0.2}):
        nats, gradients = solved(double, rows, loss=in_torch, **how)
        right_nats, right = expected(floats, rows, **how)
        assert nats.tolist() == pytest.approx(right_nats, abs=1e-10)
        for made, good in zip(gradients, right, strict=True):
            assert_close(made.numpy(), good, atol=1e-10, rtol=0)


def test_float32_is_right_where_states_are_far_apart(isa):
    # Surely wrong logits: about e^-30,000 for the target.
    floats, rows = problem(600, 100, 12, 12, joint=False, lengths=[600], sizes=[100], scale=30.0)
    nats, gradients = solved(floats, rows)
    double = [None if t is None else t.double() for t in floats]
    right_nats, right = solved(double, rows, loss=in_torch)
    assert float(nats) == pytest.approx(float(right_nats), rel=1e-6)
    for made, good in zip(gradients, right, strict=True):
        assert_close(made.double(), good, atol=1e-4, rtol=0)


def test_rows_have_the_same_bits_alone_and_all_have_for_any_number_of_threads(isa, monkeypatch):
    size = {"T": 23, "U": 9, "D": 20, "V": 12, "joint": True}
    lengths, sizes = [23, 5, 1, 20, 23, 9, 8, 7, 6, 22, 3], [9, 0, 3, 8, 1, 2, 3, 4, 5, 6, 7]
    floats, rows = problem(**size, lengths=lengths, sizes=sizes)
    together = solved(floats, rows)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = solved(floats, rows)
    assert torch.equal(together[0], shared[0])
    assert all(torch.equal(a, b) for a, b in zip(together[1], shared[1], strict=True))
    for n, (length, count) in enumerate(zip(lengths, sizes, strict=True)):
        one = [floats[0][:length, n : n + 1], floats[1][: count + 1, n : n + 1], *floats[2:]]
        alone = solved(one, (rows[0][n : n + 1], rows[1][n : n + 1, :count], rows[2][n : n + 1]))
        assert torch.equal(alone[0], together[0][n : n + 1])
        assert torch.equal(alone[1][0][:, 0], together[1][0][:length, n])
        assert torch.equal(alone[1][1][:, 0], together[1][1][: count + 1, n])


def test_rows_of_different_weights_and_a_second_backward_pass(isa):
    floats, rows = problem(8, 4, 9, 7, joint=True, lengths=[8, 6, 7], sizes=[4, 2, 3])
    weights = torch.tensor([1.0, -2.0, 0.5])
    made, good = solved(floats, rows, weights=weights)[1], expected(floats, rows, weights)[1]
    for one, right in zip(made, good, strict=True):
        assert_close(one.double().numpy(), right, atol=1e-5, rtol=0)
    left = floats[0].clone().requires_grad_()
    nats = transducer_loss(left, floats[1], *rows, weight=floats[2])
    once, twice = (torch.autograd.grad(nats.mean(), left, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(once, twice)
    with pytest.raises(RunError, match="no second derivatives"):
        torch.autograd.grad(torch.autograd.grad(nats.sum(), left, create_graph=True)[0].sum(), left)


def test_no_number_stays_in_its_row_but_in_the_gradients_of_weights(isa):
    floats, rows = problem(6, 3, 5, 4, joint=True, lengths=[6, 6], sizes=[3, 2])
    clean = solved(floats, rows)
    floats[0][3, 1, 2] = np.nan
    nats, gradients = solved(floats, rows)
    assert nats[1].isnan()
    assert torch.equal(nats[0], clean[0][0])
    assert torch.equal(gradients[0][:, 0], clean[1][0][:, 0])
    assert gradients[0][:, 1].isnan().all()
    assert gradients[2].isnan().all()


def test_wrong_rows_and_shapes_are_named(isa):
    left, right, sizes = torch.zeros(4, 2, 5), torch.zeros(3, 2, 5), torch.tensor([2, 2])
    targets, full = torch.tensor([[1, 2], [3, 4]]), torch.tensor([4, 4])
    with pytest.raises(DataError, match="rows 1 have no frames"):
        transducer_loss(left, right, torch.tensor([4, 0]), targets, sizes)
    with pytest.raises(DataError, match="rows 0 have the blank, 2, in their target"):
        transducer_loss(left, right, full, targets, sizes, blank=2)
    with pytest.raises(ShapeError, match=r"right has shape \(2, 2, 5\), expected \(3, 2, 5\)"):
        transducer_loss(left, right[:2], full, targets, sizes)
    with pytest.raises(ShapeError, match="bias has no effect without a weight"):
        transducer_loss(left, right, full, targets, sizes, bias=torch.zeros(5))
    with pytest.raises(ShapeError, match="fast_emit is -1"):
        transducer_loss(left, right, full, targets, sizes, fast_emit=-1)
    with pytest.raises(ShapeError, match="units from 1 to 4, expected 0 to 3"):
        transducer_loss(left, right, full, targets, sizes, weight=torch.zeros(4, 5))


def test_rows_or_features_that_are_none(isa):
    # What has no numbers has no address: W was taken for missing, and its gradient was whatever lay in memory.
    whole = {"dtype": torch.int64}
    none = torch.zeros(0, **whole), torch.zeros(0, 3, **whole), torch.zeros(0, **whole)
    torch.full((1 << 16,), 7.0)  # so that fresh memory is not zero by chance
    nats, gradients = solved([torch.zeros(3, 0, 6), torch.zeros(4, 0, 6), torch.ones(7, 6), torch.ones(7)], none)
    assert nats.shape == (0,)
    assert not gradients[2].any()
    assert transducer_loss(torch.zeros(0, 0, 6), torch.zeros(4, 0, 6), *none).shape == (0,)
    rows = torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1])
    nats = transducer_loss(
        torch.zeros(2, 1, 0), torch.zeros(2, 1, 0), *rows, weight=torch.zeros(3, 0), bias=torch.zeros(3)
    )
    assert_close(nats, torch.tensor([3 * np.log(3) - np.log(2)], dtype=torch.float32))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
def test_whole_numbers_of_any_type_and_floats_of_fewer_bits(kind):
    floats, rows = problem(6, 3, 5, 4, joint=True, lengths=[6, 5], sizes=[3, 3])
    wide, narrow = [t.double() for t in floats], [t.bfloat16() for t in floats]
    assert torch.equal(solved(wide, [t.to(kind) for t in rows])[0], solved(wide, rows)[0])
    nats = solved(narrow, rows)[0]
    assert nats.dtype is torch.float32
    assert_close(nats, solved([t.float() for t in narrow], rows)[0])
    with pytest.raises(ShapeError, match=r"lengths have shape \(2, 1\), target lengths \(2,\), expected \(2,\)"):
        transducer_loss(floats[0], floats[1], rows[0][:, None], *rows[1:], weight=floats[2])
    with pytest.raises(ShapeError, match=r"expected float types, got torch.int64, torch.float32"):
        transducer_loss(floats[0].long(), floats[1], *rows)
