"""The public linear_cross_entropy and Linear: values by hand, what they take, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oracles import linear_layer as oracle
from recurra.base.errors import RunError, ShapeError
from recurra.nn import Linear, linear_cross_entropy

X = torch.tensor([[0.0], [1.0]])
WEIGHT = torch.tensor([[math.log(2.0)], [0.0]])
TARGETS = torch.tensor([0, 1])


def random(M=9, D=4, V=7, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(s, generator=g).to(dtype).requires_grad_() for s in ((M, D), (V, D), (V,)))
    return x, weight, bias, torch.randint(V, (M,), generator=g)


def gradients(nats, *leaves, **options):
    return torch.autograd.grad(nats.sum(), leaves, **options)


def test_nats_worked_out_by_hand():
    # Logits are (0, 0) and (ln 2, 0): one of two, and 1/3.
    nats = linear_cross_entropy(X, WEIGHT, None, TARGETS)
    torch.testing.assert_close(nats, torch.tensor([math.log(2), math.log(3)]))


def test_smoothing_worked_out_by_hand():
    # Row two: log p is (ln 2/3, ln 1/3), the target (0.1, 0.9).
    nats = linear_cross_entropy(X, WEIGHT, None, TARGETS, label_smoothing=0.2)
    torch.testing.assert_close(nats[1], torch.tensor(-0.1 * math.log(2 / 3) - 0.9 * math.log(1 / 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_every_type_gives_the_equations_nats_and_gradients(dtype, smoothing):
    x, weight, bias, targets = random(dtype=dtype)
    nats = linear_cross_entropy(x, weight, bias, targets, label_smoothing=smoothing)
    assert nats.dtype == dtype
    expected = oracle.loss(*(t.detach().numpy() for t in (x, weight, bias, targets)), smoothing=smoothing)
    for got, value in zip((nats, *gradients(nats, x, weight, bias)), expected, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), value, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_gradients_are_made_for_those_who_want_them():
    x, weight, bias, targets = random()
    everything = gradients(linear_cross_entropy(x, weight, bias, targets), x, weight, bias)
    for k, wanted in enumerate((x, weight, bias)):
        others = [t if t is wanted else t.detach() for t in (x, weight, bias)]
        (alone,) = gradients(linear_cross_entropy(*others, targets), wanted)
        assert torch.equal(alone, everything[k])
    assert not linear_cross_entropy(x.detach(), weight.detach(), None, targets).requires_grad


def test_going_backward_twice_gives_the_same_twice():
    x, weight, bias, targets = random()
    nats = linear_cross_entropy(x, weight, bias, targets).mean()
    first = gradients(nats, x, weight, bias, retain_graph=True)
    kept = [t.clone() for t in first]
    second = gradients(nats, x, weight, bias)
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(kept, first, second, strict=True))


def test_any_layout_of_the_tensors_gives_the_same():
    x, weight, bias, targets = (t.detach() for t in random())
    expected = linear_cross_entropy(x, weight, bias, targets)
    turned = x.t().contiguous().t(), weight.t().contiguous().t(), bias.repeat_interleave(2)[::2]
    assert torch.equal(linear_cross_entropy(*turned, targets.repeat_interleave(2)[::2]), expected)
    assert torch.equal(linear_cross_entropy(x, weight, bias, targets.to(torch.int32)), expected)
    same = linear_cross_entropy(x[:1].expand(3, 4), weight, bias, targets[:1].expand(3))
    assert torch.equal(same, expected[:1].expand(3))


def test_no_rows_give_no_nats_and_gradients_of_zero():
    x, weight, bias, targets = random(M=0)
    nats = linear_cross_entropy(x, weight, bias, targets)
    assert nats.shape == (0,)
    assert [t.abs().sum().item() for t in gradients(nats, x, weight, bias)] == [0.0, 0.0, 0.0]


def test_second_derivatives_are_refused_in_float32_and_right_in_float64():
    x, weight, bias, targets = random()
    (d,) = gradients(linear_cross_entropy(x, weight, bias, targets), x, create_graph=True)
    with pytest.raises(RunError, match="no second derivatives"):
        d.square().sum().backward()
    x, weight, bias, targets = random(M=2, V=3, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda *t: linear_cross_entropy(*t, targets), (x, weight, bias))


@pytest.mark.parametrize(("value", "words"), [(7, "from 0 to 7, expected 0 to 6"), (-100, "from -100 to")])
def test_a_target_out_of_range_is_refused(value, words):
    x, weight, bias, targets = random()
    targets[4], targets[5] = value, 0
    with pytest.raises(ShapeError, match=words):
        linear_cross_entropy(x, weight, bias, targets)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": torch.zeros(3, 3, 4)}, r"x has shape \(3, 3, 4\).*flatten time and batch"),
        ({"x": torch.zeros(9, 5)}, r"x has shape \(9, 5\) and weight \(7, 4\)"),
        ({"weight": torch.zeros(7)}, r"weight \(7,\)"),
        ({"weight": torch.zeros(7, 4).double()}, "weight is torch.float64 on cpu, x is torch.float32"),
        ({"bias": torch.zeros(8)}, r"bias has shape \(8,\), expected \(7,\)"),
        ({"bias": torch.zeros(7, device="meta")}, "bias is torch.float32 on meta"),
        ({"targets": torch.zeros(8).long()}, r"targets has shape \(8,\) and type torch.int64, expected \(9,\)"),
        ({"targets": torch.zeros(9)}, "type torch.float32"),
        ({"targets": torch.zeros(9).bool()}, "type torch.bool"),
        ({"label_smoothing": 1.5}, "label_smoothing is 1.5, expected 0 to 1"),
        ({"label_smoothing": float("nan")}, "label_smoothing is nan"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    given = dict(zip(("x", "weight", "bias", "targets"), random(), strict=True)) | change
    with pytest.raises(ShapeError, match=words):
        linear_cross_entropy(**given)


def test_a_linear_layer_is_torchs_own_in_all_but_speed():
    torch.manual_seed(0)
    ours, theirs = Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(70, 5)
    torch.testing.assert_close(ours(x), theirs(x))
    assert Linear(5, 3, bias=False)(x).shape == (70, 3)
