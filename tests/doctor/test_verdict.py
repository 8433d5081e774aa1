"""Four planted cases, and the words around them: thresholds, horizon, the worst of several layers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from doctor.doctor_room import Reader, batch, diagonal, linear, only_layer, put
from recurra.cells import CELLS
from recurra.doctor import Course, Diagnosis, GradientFlow, LayerProbe, Probe, judged
from recurra.doctor.verdict import horizon, worst


def layer(log10: tuple[float, ...], **given: Any) -> LayerProbe:
    """A layer that carries this, and is otherwise well."""
    carried = GradientFlow(log10, len(log10) - 1) if log10 else None
    usual: dict[str, Any] = {
        "name": "layer 1", "cell": "rnn", "units": 4, "rows": 2, "steps": len(log10), "gradient": log10, "flow": {},
        "carried": carried, "activations": (), "dead": 0,
    }  # fmt: skip
    return LayerProbe(**{**usual, **given})


def test_a_sigmoid_network_vanishes() -> None:
    """Its slope is at most 1/4 (Hochreiter 1991), so with R of norm 1 a step takes away three quarters at least."""
    model = Reader(CELLS["rnn_sigmoid"], init="orthogonal")
    found = only_layer(model, batch([30]))
    assert found.carried is not None
    assert found.carried.rate <= 0.25
    verdict = judged(found)
    assert verdict.word == "vanishing"
    assert f"{found.carried.rate:.3g} a step" in verdict.evidence
    assert horizon(found) <= 5  # 4^-5 is just under a thousandth


def test_a_linear_network_that_stretches_explodes() -> None:
    model = Reader(linear, init="orthogonal")
    put(model.recurrent.weight_hh_l0, 1.5 * model.recurrent.weight_hh_l0)
    verdict = judged(only_layer(model, batch([30])))
    assert verdict.word == "exploding"
    assert "29 steps back: it grows by 1.5 a step" in verdict.evidence


def test_an_lstm_that_remembers_is_healthy_although_its_forget_gate_is_saturated() -> None:
    model = Reader(CELLS["lstm"], forget_bias=6.0)
    put(model.recurrent.weight_hh_l0, 0.0)
    put(model.recurrent.weight_ih_l0, 0.0)
    put(model.recurrent.weight_ih_l0[8:12], 1e-3)  # hardly anything is written, so that the slope of tanh(c) stays
    put(model.recurrent.bias_ih_l0[8:12], 0.0)
    put(model.recurrent.bias_hh_l0[8:12], 0.0)
    found = only_layer(model, batch([200]))
    assert found.carried is not None
    assert found.carried.rate == pytest.approx(1 / (1 + math.exp(-6)), rel=1e-9)
    assert {one.name: one for one in found.activations}["f"].high > 0.9
    assert judged(found).word == "healthy"


def test_a_network_of_huge_weights_is_saturated() -> None:
    model = Reader(CELLS["rnn"])
    put(model.recurrent.weight_ih_l0, 40 * model.recurrent.weight_ih_l0)
    verdict = judged(only_layer(model, batch([30])))
    assert verdict.word == "saturated"
    assert verdict.evidence.endswith("% of the values of h are saturated (tanh).")


def test_a_gate_may_open_and_shut_and_may_not_be_stuck() -> None:
    model = Reader(CELLS["lstm"], forget_bias=4.0)
    put(model.recurrent.weight_ih_l0[:4], 50.0)  # i follows the input: open, or shut
    found = only_layer(model, batch([30]))
    i = found.activations[0]
    assert i.saturated > 0.9
    assert i.stuck == 0.0
    assert judged(found).word == "healthy"
    put(model.recurrent.weight_ih_l0[:4], 0.0)
    put(model.recurrent.bias_ih_l0[:4], -50.0)
    stuck = judged(only_layer(model, batch([30])))
    assert (stuck.word, stuck.evidence) == (
        "saturated", "100% of the units of gate i are always open, or always shut."
    )  # fmt: skip


def test_rows_of_one_step_carry_nothing() -> None:
    verdict = judged(only_layer(Reader(CELLS["gru"]), batch([1, 1])))
    assert (verdict.word, verdict.evidence) == ("healthy", "its rows have one step, so there is nothing to carry.")


def test_a_network_whose_units_are_dead_is_saturated() -> None:
    model = Reader(CELLS["rnn_relu"])
    put(model.recurrent.bias_ih_l0, torch.tensor([-50.0, -50.0, -50.0, 1.0]))
    assert judged(only_layer(model, batch([30]))).evidence.startswith("3 of 4 units are dead")


@pytest.mark.parametrize(
    ("rate", "word"),
    [(1.0, "healthy"), (0.9, "healthy"), (0.7, "vanishing"), (1.2, "healthy"), (1.5, "exploding")],
)
def test_the_thresholds_are_a_thousandth_and_a_thousandfold(rate: float, word: str) -> None:
    """Over 20 steps: 0.9^20 = 0.12, 0.7^20 = 8e-4, 1.2^20 = 38, 1.5^20 = 3325."""
    model = Reader(diagonal)
    put(model.recurrent.weight_v_l0, rate)
    assert judged(only_layer(model, batch([21]))).word == word


def test_the_horizon_is_the_last_step_above_a_thousandth() -> None:
    assert horizon(layer((0.0, -1.0, -2.9, -3.1, -2.0))) == 2
    assert horizon(layer((0.0, -1.0))) == 1
    assert horizon(layer(())) == 0


def test_where_no_gradient_arrives_it_is_said() -> None:
    verdict = judged(layer(()))
    assert (verdict.word, verdict.evidence) == ("vanishing", "no gradient arrives at the last step of any row.")


def test_numbers_beyond_what_a_float_holds_are_still_said() -> None:
    assert "nothing is left 2 steps back" in judged(layer((0.0, -1.0, -math.inf))).evidence
    assert "1e-500 is left 1 steps back" in judged(layer((0.0, -500.0))).evidence
    assert "is 1e+400 times as long" in judged(layer((0.0, 400.0))).evidence


def test_the_worst_layer_is_the_models() -> None:
    words = [judged(layer(log10)) for log10 in ((0.0, 0.0), (0.0, -4.0), (0.0, 4.0))]
    assert [w.word for w in words] == ["healthy", "vanishing", "exploding"]
    assert worst(words).word == "exploding"
    assert worst(words[:2]).word == "vanishing"


def test_what_is_not_finite_has_exploded() -> None:
    sound = layer((0.0, 0.0))
    assert Diagnosis((Probe(1, 0.5, 1.0, (sound,)),)).verdict.word == "healthy"
    assert Diagnosis((Probe(1, math.nan, 1.0, (sound,)),)).verdict.word == "exploding"
    failed = Diagnosis((Probe(1, 0.5, 1.0, (sound,)),), Course(failed="training ended after step 3: NaN")).verdict
    assert (failed.word, failed.evidence) == ("exploding", "training ended after step 3: NaN")
