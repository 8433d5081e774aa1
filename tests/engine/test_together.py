"""Calls that run side by side, such as the directions of a layer, are the same calls alone, bit by bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recurra.base.errors import ShapeError
from recurra.cells import CELLS
from recurra.engine import Call, Weights, cpu, run, run_many
from recurra.lower import layout
from recurra.nn import LSTM

pytestmark = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    """Small work is shared between threads too."""
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_STEP", 0)
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def directions(count: int) -> list[Call]:
    """Calls on one input with lengths, every second one backward; all that can have a gradient wants it."""
    g, cell, (T, N, I, H) = torch.Generator().manual_seed(3), CELLS["lstm"], (9, 5, 6, 21)
    x = torch.randn(T, N, I, generator=g, requires_grad=True)
    lengths = torch.tensor([9, 0, 3, 7, 1])
    calls = []
    for k in range(count):
        packed = {
            p.name: (0.3 * torch.randn(p.shape({"I": I, "H": H}), generator=g)).requires_grad_() for p in layout(cell)
        }
        states = tuple(torch.randn(N, H, generator=g, requires_grad=True) for _ in cell.states)
        calls.append(Call(x, states, Weights(cell, packed), lengths, k % 2 == 1))
    return calls


def leaves(call: Call) -> list[Tensor]:
    return [*call.states, *call.weights.packed.values()]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_together_is_alone(count, threads):
    calls = directions(count)
    torch.set_num_threads(1)
    alone = [run(call, backend="cpu") for call in calls]
    expected = [
        torch.autograd.grad((r.output**2).sum() + r.states[1].sum(), leaves(c))
        for r, c in zip(alone, calls, strict=True)
    ]
    torch.set_num_threads(threads)
    both = run_many(calls, backend="cpu")
    for mine, other in zip(both, alone, strict=True):
        assert torch.equal(mine.output, other.output)
        assert all(torch.equal(a, b) for a, b in zip(mine.states, other.states, strict=True))
    total = torch.stack([(r.output**2).sum() + r.states[1].sum() for r in both]).sum()
    wanted = [leaf for call in calls for leaf in leaves(call)]
    found = torch.autograd.grad(total, wanted)
    assert all(torch.equal(a, b) for a, b in zip(found, [d for ds in expected for d in ds], strict=True))


def test_the_gradient_to_a_shared_input_is_the_sum_over_the_calls():
    calls = directions(2)
    x = calls[0].x
    alone = [torch.autograd.grad(run(call, backend="cpu").output.sum(), x)[0] for call in calls]
    torch.set_num_threads(2)
    (both,) = torch.autograd.grad(torch.cat([r.output for r in run_many(calls, backend="cpu")]).sum(), x)
    assert torch.equal(both, alone[0] + alone[1])


def test_a_gradient_that_only_one_call_has_leaves_the_other_at_zero():
    calls = directions(2)
    first, _ = run_many(calls, backend="cpu")
    found = torch.autograd.grad(first.output.sum(), [*leaves(calls[0]), *leaves(calls[1])])
    expected = torch.autograd.grad(run(calls[0], backend="cpu").output.sum(), leaves(calls[0]))
    assert all(torch.equal(a, b) for a, b in zip(found[: len(expected)], expected, strict=True))
    assert all(not d.any() for d in found[len(expected) :])


def test_both_tapes_can_be_read_twice():
    calls = directions(2)
    total = torch.cat([r.output for r in run_many(calls, backend="cpu")]).sum()
    first = torch.autograd.grad(total, calls[0].x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(total, calls[0].x)[0])


def test_a_wrong_length_in_one_of_them_is_named():
    good, bad = directions(2)
    bad = replace(bad, lengths=torch.tensor([9, 0, 3, 10, 1]))
    with pytest.raises(ShapeError, match=r"lengths\[3\] is 10, expected 0 to 9"):
        run_many([good, bad], backend="cpu")


def test_calls_that_need_different_executors_each_get_theirs():
    native = directions(1)[0]
    packed = {name: t.detach().double() for name, t in native.weights.packed.items()}
    states = tuple(s.detach().double() for s in native.states)
    double = Call(native.x.detach().double(), states, Weights(native.cell, packed), native.lengths)
    first, second = run_many([native, double])
    assert (first.output.dtype, second.output.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(first.output.double(), second.output, rtol=0, atol=1e-6)


def test_a_bidirectional_layer_has_the_same_bits_on_two_cores():
    torch.manual_seed(0)
    layer, x = LSTM(6, 20, 2, bidirectional=True), torch.randn(9, 5, 6)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        output, (_, c) = layer(x, lengths=torch.tensor([9, 0, 3, 7, 1]))
        layer.zero_grad()
        (output.sum() + c.sum()).backward()
        results.append([output.detach(), c.detach(), *(p.grad.clone() for p in layer.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
