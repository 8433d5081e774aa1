"""Gates and states as heat maps: the numbers of the cell, in the order of the text."""

from __future__ import annotations

import pytest
import torch

from doctor.doctor_room import Reader, batch, linear, put
from recurra.cells import CELLS
from recurra.doctor import watching
from recurra.doctor.maps import gate_maps, in_pieces, state_maps

TOKENS = ("a", "b", "c")


def test_a_gate_is_the_mean_over_units_in_the_order_of_the_text() -> None:
    """Without recurrent weights each gate is sigmoid(W x + b), forwards and backwards alike."""
    model = Reader(CELLS["gru"], bidirectional=True)
    r = model.recurrent
    for name in ("weight_hh_l0", "bias_hh_l0", "weight_hh_l0_reverse", "bias_hh_l0_reverse"):
        put(getattr(r, name), 0.0)
    data = batch([3])
    with torch.no_grad(), watching(model) as seen:
        model(data)
    assert [one.name for one in seen] == ["recurrent, forward", "recurrent, backward"]
    for one, suffix in zip(seen, ("", "_reverse"), strict=True):
        (found,) = gate_maps(one, TOKENS)
        W, b = getattr(r, f"weight_ih_l0{suffix}"), getattr(r, f"bias_ih_l0{suffix}")
        gates = torch.sigmoid(data.inputs["features"][:, 0] @ W.T + b).detach()
        assert found.title == f"Gates, mean over units: {one.name}"
        assert (found.rows, found.columns) == (("r", "z"), TOKENS)
        assert found.weights[0] == pytest.approx(gates[:, :4].mean(1).tolist(), rel=1e-12)
        assert found.weights[1] == pytest.approx(gates[:, 4:8].mean(1).tolist(), rel=1e-12)


def test_states_are_those_of_the_layer_and_beside_the_largest_beyond_one() -> None:
    model, data = Reader(linear), batch([3])
    put(model.recurrent.weight_ih_l0, 10 * model.recurrent.weight_ih_l0)
    with torch.no_grad(), watching(model) as seen:
        outputs = model(data).outputs["outputs"][:, 0]
    (found,) = state_maps(seen[0], TOKENS)
    assert outputs.abs().max() > 1
    assert found.rows == ("h0", "h1", "h2", "h3")
    scaled = (outputs / outputs.abs().max()).T
    for row, expected in zip(found.weights, scaled.tolist(), strict=True):
        assert row == pytest.approx(expected, rel=1e-12)
    assert list(gate_maps(seen[0], TOKENS)) == []  # a cell without gates


def test_the_units_that_move_the_most_are_shown() -> None:
    model = Reader(CELLS["rnn"], size=40)
    put(model.recurrent.weight_ih_l0[:16], 0.0)
    put(model.recurrent.weight_hh_l0[:16], 0.0)  # these units stand still after the first step
    with torch.no_grad(), watching(model) as seen:
        model(batch([3]))
    (found,) = state_maps(seen[0], TOKENS)
    assert found.rows == tuple(f"h{k}" for k in range(16, 40))


def test_a_long_text_is_cut_into_maps_beside_one_another() -> None:
    columns = [str(k) for k in range(130)]
    pieces = list(in_pieces("T", ["r"], columns, [[k / 130 for k in range(130)]]))
    assert [piece.title for piece in pieces] == ["T, steps 1-60", "T, steps 61-120", "T, steps 121-130"]
    assert [c for piece in pieces for c in piece.columns] == columns
    assert [w for piece in pieces for w in piece.weights[0]] == [k / 130 for k in range(130)]


def test_watching_ends_whatever_happens() -> None:
    model = Reader(CELLS["rnn"])
    with pytest.raises(ZeroDivisionError), watching(model):
        raise ZeroDivisionError
    assert model.recurrent.watch is None
