"""Heads of attention in numbers: each illness made to happen in a layer, and the numbers by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from recurra.doctor.heads import head_probes, head_table
from recurra.nn.transformer import CrossAttention, Pairs


def probed(change: object = None, *, queries: float = 3.0) -> list[str]:
    """Remarks on the two heads of a layer; change: what is done to its weights"""
    torch.manual_seed(0)
    layer = CrossAttention(8, 2)
    nn.init.normal_(layer.in_proj_weight)
    if callable(change):
        with torch.no_grad():
            change(layer)
    x, source = queries * torch.randn(6, 8), torch.randn(5, 8)
    pairs = Pairs.of(6, torch.tensor([6]), 5, torch.tensor([5]))
    weights = layer.weights(x, layer.keys_and_values(source)[0], pairs)
    return [probe.remark for probe in head_probes(weights[:, :, 0].detach().unsqueeze(0))]


def test_a_layer_with_keys_that_differ_has_no_remark() -> None:
    assert probed() == ["", ""]


def test_a_head_whose_keys_are_all_alike_looks_everywhere_alike() -> None:
    def alike(layer: CrossAttention) -> None:
        layer.in_proj_weight[8:12] = 0  # keys of the first head

    assert probed(alike) == ["looks everywhere alike", ""]


def test_a_head_that_does_not_hear_its_query_looks_at_the_same_places() -> None:
    def deaf(layer: CrossAttention) -> None:
        layer.in_proj_weight[4:8] = 0  # queries of the second head are its bias alone
        layer.in_proj_bias[4:8] = 2.0

    assert probed(deaf) == ["", "looks at the same places at every step"]


def test_entropy_and_moves_are_those_by_hand() -> None:
    weights = torch.tensor([[[[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]]])
    (found,) = head_probes(weights)
    assert found.entropy == pytest.approx((0 + math.log(2) + math.log(4)) / 3 / math.log(4))
    assert found.moves == pytest.approx((0.5 + 0.5) / 2)
    (table,) = head_table(weights)
    assert table.rows == ((1, 1, "0.50", "0.50", ""),)
    assert head_table(weights[:, :, :1]) == ()


@pytest.mark.parametrize("window", [1, 2, 4, 30])
def test_the_entropy_in_a_window_is_beside_the_places_in_it(window: int) -> None:
    """Even weights over the last places: 1 of 1 but where there is one place alone, at which nothing is chosen."""
    even = torch.ones(20, 20).tril().triu(1 - window)
    even = (even / even.sum(1, keepdim=True)).view(1, 1, 20, 20)
    (found,) = head_probes(even)
    assert found.entropy == pytest.approx(0 if window == 1 else 1)
    assert found.remark == ("" if window == 1 else "looks everywhere alike")


def test_each_layer_has_its_own_window() -> None:
    wide = torch.ones(6, 6).tril()
    both = torch.stack([wide / wide.sum(1, keepdim=True), wide.triu(-1) / wide.triu(-1).sum(1, keepdim=True)])
    assert [one.entropy for one in head_probes(both.unsqueeze(1))] == pytest.approx([1, 1])


def test_a_head_may_look_at_less_than_its_window() -> None:
    """The other head of the layer looks at all three places: log 2 of log 2 and log 3."""
    even = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    near = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    _, found = head_probes(torch.stack([even, near]).unsqueeze(0))
    assert found.entropy == pytest.approx((1 + math.log(2) / math.log(3)) / 2)
