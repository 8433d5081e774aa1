"""Dropout from draws of 16 bits: shares, scale and gradients by value; and in attention."""

from __future__ import annotations

import math

import pytest
import torch

from recurra.nn.dropout import QuickDropout, quick_dropout
from recurra.nn.transformer import attention

# float32 is drawn by the engine, where there is one, float64 by torch.
TYPES = (torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_each_of_the_four_numbers_of_a_draw_is_dropped_with_the_same_probability(p: float, dtype: torch.dtype) -> None:
    """A draw without its sign bit would never drop, or always keep, every fourth number."""
    torch.manual_seed(1)
    rows = 40_000
    dropped = (quick_dropout(torch.ones(rows, 4, dtype=dtype), p) == 0).double().mean(0)
    assert ((dropped - p).abs() < 5 * math.sqrt(p * (1 - p) / rows)).all(), dropped


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_of_one_draw_do_not_know_of_one_another(dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    kept = (quick_dropout(torch.ones(40_000, 4, dtype=dtype), 0.5) != 0).double()
    among = torch.corrcoef(kept.T) - torch.eye(4, dtype=torch.float64)
    assert among.abs().max() < 5 / math.sqrt(40_000)


def test_what_is_kept_is_scaled_by_the_probability_that_the_draws_have() -> None:
    torch.manual_seed(3)
    x = torch.randn(1001, dtype=torch.float64)
    y = quick_dropout(x, 0.3)
    keep = 1 - round(0.3 * 65536) / 65536
    torch.testing.assert_close(y[y != 0], x[y != 0] / keep, rtol=1e-15, atol=0)
    assert 600 < int((y != 0).sum()) < 800


def test_the_gradient_is_that_of_the_mask_and_zero_where_an_infinite_one_meets_a_zero() -> None:
    torch.manual_seed(4)
    x = torch.randn(64, dtype=torch.float64, requires_grad=True)
    y = quick_dropout(x, 0.5)
    (gradient,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    torch.testing.assert_close(gradient, torch.where(y != 0, 2.0, 0.0).double(), rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(y, x, torch.full_like(x, math.inf))
    assert torch.equal(gradient == 0, y == 0)
    assert not gradient.isnan().any()


def test_second_derivatives_go_through() -> None:
    torch.manual_seed(5)
    x = torch.randn(8, dtype=torch.float64, requires_grad=True)
    y = quick_dropout(x, 0.5)
    (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    torch.testing.assert_close(second, torch.where(y != 0, 6 * 8 * x, 0.0))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_same_seed_drops_the_same_numbers_however_they_lie(dtype: torch.dtype) -> None:
    found = []
    for x in (torch.ones(7, 3, dtype=dtype), torch.ones(3, 7, dtype=dtype).T):
        torch.manual_seed(6)
        found.append(quick_dropout(x, 0.5) != 0)
    assert torch.equal(*found)


@pytest.mark.parametrize(("p", "left"), [(0.0, 1.0), (1e-6, 1.0), (1.0, 0.0)])
def test_probabilities_that_no_draw_has_are_left_to_torch(p: float, left: float) -> None:
    torch.manual_seed(7)
    torch.testing.assert_close(quick_dropout(torch.ones(16), p), torch.full((16,), left))


def test_the_module_acts_in_training_alone() -> None:
    layer, x = QuickDropout(0.5), torch.ones(50)
    assert (layer(x) == 0).any()
    assert layer.eval()(x) is x


@pytest.mark.parametrize(("is_causal", "masked"), [(False, False), (True, False), (False, True)])
def test_attention_in_training_is_that_of_service_but_for_what_is_dropped(
    is_causal: bool, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(8)
    q, k, v = torch.randn(3, 2, 2, 5, 4, dtype=torch.float64)
    mask = torch.ones(5, 5, dtype=torch.bool).tril().triu(-2) if masked else None
    expected = attention.attended(q, k, v, mask, 0.0, is_causal=is_causal)
    monkeypatch.setattr(attention, "quick_dropout", lambda x, p: x)
    got = attention.attended(q, k, v, mask, 0.5, is_causal=is_causal)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_dropped_weights_of_attention_leave_the_mean_as_it_is() -> None:
    torch.manual_seed(9)
    q, k, v = torch.randn(3, 1, 1, 6, 4, dtype=torch.float64)
    many = [each.expand(4000, 1, 6, 4) for each in (q, k, v)]
    mean = attention.attended(*many, None, 0.25).mean(0)
    torch.testing.assert_close(mean, attention.attended(q, k, v, None, 0.0)[0], rtol=0, atol=0.06)
