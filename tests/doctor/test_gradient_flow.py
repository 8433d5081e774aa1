"""The carried gradient, against decay rates that are known, and products of Jacobians by finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from doctor.doctor_room import (
    Reader,
    batch,
    diagonal,
    linear,
    loss_at_the_end,
    loss_everywhere,
    only_layer,
    put,
)
from doctor.test_verdict import layer as layer_that_carries
from recurra.cells import CELLS
from recurra.doctor import judged, probe
from recurra.doctor.gradient_flow import _summary
from recurra.engine import Call, Weights, run
from recurra.lower import layout

T = 200


@pytest.mark.parametrize("decay", [0.9, 0.03, 1.0, 1.1])
def test_the_rate_of_a_diagonal_linear_network_is_its_weight(decay: float) -> None:
    """0.03 over 200 steps is 1e-305, which only logarithms can follow in float32."""
    model = Reader(diagonal)
    put(model.recurrent.weight_v_l0, decay)
    for made in (model, model.float()):
        data = batch([T])
        data.inputs["features"] = data.inputs["features"].to(next(made.parameters()).dtype)
        carried = only_layer(made, data).carried
        assert carried is not None
        assert carried.reach == T - 1
        assert carried.rate == pytest.approx(decay, rel=1e-6)
        expected = np.arange(T) * math.log10(decay)
        np.testing.assert_allclose(carried.log10, expected, atol=2e-5)  # float32: 200 roundings of 6e-8, as log10


def test_what_the_loss_says_at_other_steps_does_not_enter() -> None:
    model = Reader(diagonal)
    put(model.recurrent.weight_v_l0, 0.5)
    layer = only_layer(model, batch([30]), loss_everywhere)
    assert layer.carried is not None
    assert layer.carried.rate == pytest.approx(0.5, rel=1e-9)
    assert layer.gradient[-1] > 0.01  # each step has a gradient of its own: this does not decay


@pytest.mark.parametrize("factor", [1.0, 0.8, 1.25])
def test_an_orthogonal_network_keeps_the_length_and_a_scaled_one_scales_it(factor: float) -> None:
    model = Reader(linear, init="orthogonal")
    put(model.recurrent.weight_hh_l0, factor * model.recurrent.weight_hh_l0)
    carried = only_layer(model, batch([50])).carried
    assert carried is not None
    assert carried.rate == pytest.approx(factor, rel=1e-6)  # weights are orthogonal to 1e-7: they are drawn in float32


def state_jacobians(made: Any, packed: dict[str, torch.Tensor], x: torch.Tensor) -> list[np.ndarray]:
    """ds_t / ds_{t-1} of all states together at each step, by central differences of the engine's forward pass."""
    sizes = {"H": 4, "P": 2}
    widths = [sizes[made.size(name)] for name in made.states]

    def step(t: int, s: torch.Tensor) -> torch.Tensor:
        call = Call(x[t : t + 1], tuple(s.split(widths, 1)), Weights(made, packed))
        return torch.cat(run(call, backend="reference").states, 1)

    eps, found, s = 1e-6, [], torch.zeros(1, sum(widths), dtype=torch.float64)
    for t in range(len(x)):
        columns = []
        for k in range(sum(widths)):
            up, down = s.clone(), s.clone()
            up[0, k] += eps
            down[0, k] -= eps
            columns.append((step(t, up) - step(t, down))[0] / (2 * eps))
        found.append(torch.stack(columns, 1).numpy())
        s = step(t, s)
    return found


@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_peephole", "lstm_projected", "gru", "mgu", "lstm_layernorm"])
def test_it_is_the_product_of_the_steps_jacobians(name: str) -> None:
    made = CELLS[name]
    model = Reader(made, proj_size=2 if name == "lstm_projected" else 0).eval()
    data = batch([6])
    packed = {p.name: getattr(model.recurrent, f"{p.name}_l0").detach() for p in layout(made)}
    jacobians = state_jacobians(made, packed, data.inputs["features"])
    carried = only_layer(model, data).carried
    assert carried is not None
    flow = np.zeros(jacobians[0].shape[0])
    width = 2 if name == "lstm_projected" else 4
    flow[:width] = 1 / math.sqrt(width)  # dL/dh of a sum, of length one
    for distance in range(1, 6):
        flow = flow @ jacobians[6 - distance]
        # Central differences of 1e-6 in float64 are good to about 1e-9; layer normalisation has larger curvature.
        assert carried.log10[distance] == pytest.approx(math.log10(np.linalg.norm(flow)), abs=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_row_alone_carries_what_it_carries_in_a_batch_whatever_the_padding_holds(bidirectional: bool) -> None:
    model = Reader(CELLS["gru"], bidirectional=bidirectional, num_layers=2)
    together = probe(model, batch([7, 3, 7], padding=math.nan), loss_at_the_end).layers
    alone = [probe(model, batch([length], seed=1 + n), loss_at_the_end).layers for n, length in enumerate((7, 3, 7))]
    for k, layer in enumerate(together):
        assert layer.carried is not None
        assert layer.carried.reach == 6
        rows = [[10**log for log in row[k].carried.log10] for row in alone if row[k].carried is not None]
        assert list(map(len, rows)) == [7, 3, 7]
        expected = 1.0
        for distance in range(1, 7):
            both = [row for row in rows if distance < len(row)]
            expected *= math.hypot(*(row[distance] for row in both)) / math.hypot(*(row[distance - 1] for row in both))
            assert 10 ** layer.carried.log10[distance] == pytest.approx(expected, rel=1e-9)


def test_zoneout_that_keeps_nearly_everything_keeps_the_gradient() -> None:
    model = Reader(diagonal, size=64, zoneout=0.99)
    put(model.recurrent.weight_v_l0, 0.0)  # without zoneout nothing at all would come back
    carried = only_layer(model, batch([20])).carried
    assert carried is not None
    # Each unit keeps its gradient with probability 0.99: after 19 steps about 0.99^19 = 83 % of 64 units, so the
    # length is sqrt(0.83) = 0.91 give or take 0.03.
    assert 10 ** carried.log10[19] == pytest.approx(0.91, abs=0.1)


def test_a_unit_of_relu_that_is_off_carries_nothing() -> None:
    model = Reader(CELLS["rnn_relu"])
    put(model.recurrent.bias_ih_l0, -50.0)
    layer = only_layer(model, batch([5]))
    assert layer.carried is not None
    assert layer.carried.log10[1:] == (-math.inf,) * 4
    assert layer.carried.rate == 0.0
    assert (layer.dead, layer.units) == (4, 4)


@pytest.mark.parametrize(("left", "rate", "word"), [(-math.inf, 0.0, "vanishing"), (math.inf, math.inf, "exploding")])
def test_what_is_left_stays_a_number_when_the_other_rows_have_ended(left: float, rate: float, word: str) -> None:
    """A row of three steps loses its gradient, or has more than a number holds, and one of two steps has a half."""
    found = _summary(np.array([[0.0, 0.0], [left, -0.3], [left, np.nan]]))
    assert found.log10[-1] == left
    assert not any(map(math.isnan, found.log10))
    assert (found.rate, judged(layer_that_carries(found.log10)).word) == (rate, word)
