"""Integrated gradients: by hand for a linear network, complete for any, and in evaluation mode whatever the model's."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from doctor.doctor_room import Reader, batch, diagonal, put
from recurra.base.contracts import Batch, Prediction
from recurra.cells import CELLS
from recurra.doctor.saliency import integrated_gradients


def copies_of(length: int) -> Any:
    one = batch([length])

    def copies(number: int) -> Batch:
        return Batch(
            {"features": one.inputs["features"].expand(-1, number, -1)}, one.lengths.expand(number), {}, (0,) * number
        )

    return copies


def last_state(prediction: Prediction, batch: Batch) -> Tensor:
    return prediction.outputs["last"].sum()


def test_in_a_linear_network_each_step_adds_its_own_share() -> None:
    """h_T = sum of v^(T-t) W x_t, and from zeros the path integral of a linear function is the function."""
    model = Reader(diagonal)
    put(model.recurrent.weight_v_l0, 0.5)
    copies = copies_of(6)
    found = integrated_gradients(model, model.recurrent, copies, last_state)
    x = copies(1).inputs["features"][:, 0]
    added = (x @ model.recurrent.weight_ih_l0.detach().T).sum(1)
    expected = [float(0.5 ** (5 - t) * added[t]) for t in range(6)]
    assert found.steps == pytest.approx(expected, rel=1e-12)
    assert found.whole == pytest.approx(sum(expected), rel=1e-12)
    assert found.nothing == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", [name for name in CELLS if name not in ("lstm_projected", "lstm_layernorm")])
def test_the_steps_add_up_to_what_the_input_changes(name: str, bidirectional: bool) -> None:
    """Completeness. A smooth function is integrated to rounding; one of ReLU has corners, and layer normalisation of
    inputs near zero is steep, so it is left to the next test."""
    model = Reader(CELLS[name], bidirectional=bidirectional, num_layers=2)
    found = integrated_gradients(model, model.recurrent, copies_of(7), last_state)
    corners = name in ("rnn_relu", "indrnn")
    assert abs(found.whole - found.nothing) > 1e-3
    assert found.gap == pytest.approx(0.0, abs=2e-2 if corners else 1e-8)


def test_layer_normalisation_needs_more_points_and_then_it_is_complete_too() -> None:
    model = Reader(CELLS["lstm_layernorm"])
    gaps = [
        abs(integrated_gradients(model, model.recurrent, copies_of(4), last_state, points=points).gap)
        for points in (8, 128)
    ]
    assert gaps[1] < 0.05 * max(gaps[0], 1e-3)


def test_dropout_is_off_and_the_model_is_left_as_it_was() -> None:
    model = Reader(CELLS["gru"], num_layers=2, dropout=0.9, variational_dropout=0.9, zoneout=0.5).train()
    first = integrated_gradients(model, model.recurrent, copies_of(5), last_state)
    assert integrated_gradients(model, model.recurrent, copies_of(5), last_state) == first
    assert model.training
    assert first.gap == pytest.approx(0.0, abs=1e-8)
    assert all(p.grad is None for p in model.parameters())
    assert not model.recurrent._forward_pre_hooks


def test_every_part_is_left_in_its_mode() -> None:
    model = Reader(CELLS["gru"]).train()
    model.recurrent.eval()
    integrated_gradients(model, model.recurrent, copies_of(5), last_state)
    assert (model.training, model.recurrent.training) == (True, False)


def test_where_nothing_is_read_nothing_is_added() -> None:
    model = Reader(CELLS["rnn"])
    put(model.recurrent.weight_ih_l0, 0.0)
    found = integrated_gradients(model, model.recurrent, copies_of(3), last_state)
    assert found.steps == (0.0, 0.0, 0.0)
    assert found.whole == found.nothing
