"""Weight drop, locked dropout, dropped words, and penalties on activations: values by hand."""

from __future__ import annotations

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.engine import cpu
from recurra.lower import projects
from recurra.nn import Recurrent, activation_penalties, weight_dropped
from recurra.nn.dropout import LockedDropout, word_mask
from recurra.nn.weight_drop import recurrent_weights


def make(cell="lstm", **options):
    torch.manual_seed(0)
    return Recurrent(3, 4, cell=cell, proj_size=2 if projects(CELLS[cell]) else 0, **options)


@pytest.mark.parametrize("cell", [c for c in CELLS if c != "indrnn"])
def test_a_dropped_layer_is_a_layer_with_zeros_in_its_recurrent_weights(cell):
    layer, x, p = make(cell), torch.randn(6, 2, 3), 0.4
    torch.manual_seed(7)
    output, _ = weight_dropped(layer, p, x)
    torch.manual_seed(7)
    mask = torch.nn.functional.dropout(torch.ones_like(layer.weight_hh_l0), p)
    assert 0 < int((mask == 0).sum()) < mask.numel()
    gradient = torch.autograd.grad(output.sum(), layer.weight_hh_l0)[0]
    assert not gradient[mask == 0].any()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(mask)
    expected, _ = layer(x)
    assert torch.equal(output, expected)


def test_every_layer_and_direction_loses_recurrent_weights_and_nothing_else():
    layer = make(num_layers=2, bidirectional=True)
    assert recurrent_weights(layer) == [f"weight_hh_l{k}{way}" for k in range(2) for way in ("", "_reverse")]


def test_nothing_is_dropped_in_evaluation_and_the_weights_are_left_as_they_are():
    layer, x = make(), torch.randn(6, 2, 3)
    before = {name: p.clone() for name, p in layer.named_parameters()}
    weight_dropped(layer, 0.5, x)
    assert all(torch.equal(before[name], p) for name, p in layer.named_parameters())
    layer.eval()
    assert torch.equal(weight_dropped(layer, 0.5, x)[0], layer(x)[0])


@pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
def test_weight_drop_runs_on_the_native_engine_and_lets_states_and_lengths_through():
    layer, x = make(backend="cpu"), torch.randn(6, 2, 3)
    whole, _ = layer.eval()(x)
    states = tuple(torch.zeros(1, 2, 4) for _ in range(2))
    first, state = weight_dropped(layer, 0.5, x[:4], states, lengths=[4, 4])
    second, _ = weight_dropped(layer, 0.5, x[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=0)
    output, _ = weight_dropped(layer.train(), 0.5, x)
    assert "Recurrence" in type(output.grad_fn).__name__


def test_a_cell_without_recurrent_matrices_has_none_to_drop():
    with pytest.raises(ConfigError, match="weight_drop: cell 'indrnn' has no recurrent matrix"):
        weight_dropped(make("indrnn"), 0.5, torch.randn(2, 1, 3))


def test_locked_dropout_has_one_mask_for_all_steps_of_a_row():
    torch.manual_seed(0)
    drop = LockedDropout(0.25)
    kept = drop(torch.ones(5, 40, 50))
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert not torch.equal(kept[0, 0], kept[0, 1])
    # 2,000 draws: three standard deviations are 0.029.
    assert float((kept[0] == 0).float().mean()) == pytest.approx(0.25, abs=0.029)
    x = torch.randn(5, 2, 3)
    assert torch.equal(drop.eval()(x), x)


def test_all_is_dropped_with_probability_one():
    x = torch.tensor([[[1.0, float("inf")]], [[-2.0, 3.0]]], requires_grad=True)
    kept = LockedDropout(1.0)(x)
    assert torch.equal(kept, torch.zeros(2, 1, 2))
    assert torch.equal(torch.autograd.grad(kept.sum(), x)[0], torch.zeros(2, 1, 2))


def test_a_dropped_word_is_dropped_in_all_places():
    torch.manual_seed(0)
    mask = word_mask(torch.ones(()), 2000, 0.1)
    assert mask.unique().tolist() == pytest.approx([0, 1 / 0.9])
    assert float((mask == 0).float().mean()) == pytest.approx(0.1, abs=0.021)


def test_penalties_worked_out_by_hand():
    # One row of two steps and one of one; D = 1. What is padded may be anything.
    h = torch.tensor([[[1.0], [3.0]], [[4.0], [float("nan")]]])
    real = torch.tensor([[True, True], [True, False]])
    alpha, beta = torch.tensor(2.0), torch.tensor(0.5)
    outputs = {"hidden": 10 * h, "activation": h, "penalty.activation": alpha, "penalty.temporal": beta}
    # AR: the mean of 100, 900, 1600; TAR: (4 - 1)^2, the only pair; three steps.
    assert activation_penalties(outputs, real).item() == pytest.approx(3 * (2 * 2600 / 3 + 0.5 * 9))
    del outputs["penalty.temporal"]
    assert activation_penalties(outputs, real).item() == pytest.approx(3 * 2 * 2600 / 3)
    assert activation_penalties({"hidden": h}, real).item() == 0
    one_step = {**outputs, "penalty.temporal": beta}
    assert activation_penalties(one_step, real & torch.tensor([[True], [False]])).item() == pytest.approx(2 * 2 * 500)
    assert activation_penalties(one_step, torch.zeros_like(real)).item() == 0
