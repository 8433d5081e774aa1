"""Optimizers, schedules, clipping and penalties, by value."""

from __future__ import annotations

import inspect
import math
from typing import get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from recurra.base.contracts import Score
from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.training import CLIPPINGS, ON_NONFINITE, OPTIMIZERS, PENALTIES, SCHEDULES, EarlyStopping
from recurra.training.clipping import gradient_norm
from recurra.training.optimizers import set_lr
from recurra.training.penalties import weights_of


def parameter_with_gradient(value: list[float], grad: list[float]) -> nn.Parameter:
    p = nn.Parameter(torch.tensor(value, dtype=torch.float64))
    p.grad = torch.tensor(grad, dtype=torch.float64)
    return p


# One step each, in NumPy float64, from the formulas in the papers.
def numpy_sgd(w, g, s, *, lr, momentum, nesterov, weight_decay):
    g = g + weight_decay * w
    s["v"] = momentum * s["v"] + g if "v" in s else g  # the first step has no last update to keep
    return w - lr * (g + momentum * s["v"] if nesterov else s["v"])


def numpy_rmsprop(w, g, s, *, lr, alpha, eps, centered):
    s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g**2
    s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
    return w - lr * g / (np.sqrt(s["m"] - (s["a"] ** 2 if centered else 0)) + eps)


def numpy_adam(w, g, s, *, lr, beta1, beta2, eps, weight_decay, decoupled):
    if decoupled:
        w = w - lr * weight_decay * w
    else:
        g = g + weight_decay * w
    s["t"] = s.get("t", 0) + 1
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    m, v = s["m"] / (1 - beta1 ** s["t"]), s["v"] / (1 - beta2 ** s["t"])
    return w - lr * m / (np.sqrt(v) + eps)


ADAM = {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.1}
RULES = [
    ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}, numpy_sgd, {}),
    ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, numpy_sgd, {}),
    ("rmsprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "centered": False}, numpy_rmsprop, {}),
    ("rmsprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "centered": True}, numpy_rmsprop, {}),
    ("adam", ADAM, numpy_adam, {"decoupled": False}),
    ("adamw", ADAM, numpy_adam, {"decoupled": True}),
]


@pytest.mark.parametrize(("name", "options", "oracle", "form"), RULES)
def test_an_update_rule_follows_its_formula_on_a_quadratic(name, options, oracle, form):
    a = np.array([1.0, 3.0, 0.2])  # loss = sum a w^2 / 2, gradient a w
    w, state = np.array([1.0, -2.0, 0.5]), {}
    p = nn.Parameter(torch.tensor(w))
    rule = OPTIMIZERS[name]([p], **options)
    for _ in range(12):
        p.grad = torch.tensor(a) * p.detach()
        rule.step()
        w = oracle(w, a * w, state, **options, **form)
    np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-12)  # only the order of operations differs


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_has_the_same_bits_for_any_number_of_threads(name):
    def after(threads: int) -> torch.Tensor:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            p = nn.Parameter(torch.linspace(-1, 1, 70_001))
            rule = OPTIMIZERS[name]([p], lr=0.01)
            for k in range(3):
                p.grad = torch.sin(p.detach() * (k + 1))
                rule.step()
            return p.detach()
        finally:
            torch.set_num_threads(before)

    assert torch.equal(after(1), after(3))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ConfigError, match=r"sgd: nesterov: needs momentum > 0, got momentum 0"):
        OPTIMIZERS["sgd"]([nn.Parameter(torch.zeros(1))], nesterov=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: OPTIMIZERS["adam"](p, lr=-1.0), r"^adam: lr: expected > 0, got -1.0\.$"),
        (lambda p: OPTIMIZERS["sgd"](p, lr=math.inf), r"^sgd: lr: expected a finite number, got inf\.$"),
        (lambda p: OPTIMIZERS["sgd"](p, momentum=1.0), r"momentum: expected < 1"),
        (lambda p: SCHEDULES["linear"](10, warmup=-0.1), r"linear: warmup: expected >= 0"),
        (lambda p: SCHEDULES["cosine"](10, floor=1.5), r"floor: expected <= 1"),
        (lambda p: CLIPPINGS["norm"](max_norm=0), r"clip_norm: max_norm: expected > 0"),
        (lambda p: PENALTIES["l1"](strength=math.nan), r"l1: strength: expected a finite number"),
        (lambda p: EarlyStopping(evaluations=0), r"EarlyStopping: evaluations: expected >= 1, got 0"),
        (lambda p: ON_NONFINITE["skip"](None, most_in_a_row=0), r"Skip: most_in_a_row: expected >= 1"),
    ],
)
def test_an_option_out_of_bounds_is_named_with_its_bound(make, message):
    with pytest.raises(ConfigError, match=message):
        make([nn.Parameter(torch.zeros(1))])


@pytest.mark.parametrize("registry", [OPTIMIZERS, SCHEDULES, CLIPPINGS, PENALTIES], ids=lambda r: r.kind)
def test_every_option_is_documented_and_its_default_is_within_its_bounds(registry):
    for constructor in registry.values():
        hints = get_type_hints(constructor, include_extras=True)
        options = [p for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY]
        defaults = {p.name: p.default for p in options}
        for name in defaults:
            assert any(isinstance(note, Opt) and note.doc for note in hints[name].__metadata__), name
        positional = len(inspect.signature(constructor).parameters) - len(options)
        constructor(*([[nn.Parameter(torch.zeros(1))]] if registry is OPTIMIZERS else [10])[:positional], **defaults)


def test_each_group_keeps_its_own_peak_learning_rate():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    rule = OPTIMIZERS["sgd"]([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    assert set_lr(rule, 0.5) == 0.05
    assert set_lr(rule, 0.1) == pytest.approx(0.01)  # of the peak, not of the last value
    assert rule.param_groups[1]["lr"] == pytest.approx(0.05)


def factors(name: str, total: int, **options: float) -> list[float]:
    schedule = SCHEDULES[name](total, **options)
    return [schedule(step) for step in range(1, total + 1)]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (factors("constant", 4), [1, 1, 1, 1]),
        (factors("linear", 6, warmup=1 / 3), [1 / 2, 1, 1, 3 / 4, 1 / 2, 1 / 4]),
        (factors("linear", 4, warmup=0, floor=0.2), [1.0, 0.8, 0.6, 0.4]),
        (factors("cosine", 5, warmup=0.2), [1, 1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        (factors("cosine", 2, warmup=0, floor=0.5), [1, 0.75]),
        (factors("step", 6, drops=2, gamma=0.1), [1, 1, 0.1, 0.1, 0.01, 0.01]),
        (factors("inverse_sqrt", 16, warmup=0.25)[:5] + factors("inverse_sqrt", 16, warmup=0.25)[15:],
         [0.25, 0.5, 0.75, 1, 2 / math.sqrt(5), 0.5]),
    ],
)  # fmt: skip
def test_a_schedule_has_the_values_of_its_formula(got, expected):
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_never_above_its_peak_nor_zero_also_past_the_planned_end(name):
    for total in (1, 2, 7, 100):
        schedule = SCHEDULES[name](total)
        assert all(0 < schedule(step) <= 1 for step in range(1, total + 4)), total


def loss_score(value: float) -> Score:
    return Score("loss", value, "nats", "lower", "dev")


def test_plateau_halves_after_two_evaluations_that_stand_still_and_again_after_two_more():
    schedule = SCHEDULES["plateau"](99, factor=0.5, patience=2, floor=0.2)
    seen = []
    for value in [3.0, 2.0, 2.0, 2.5, math.nan, 1.9, 1.9, 1.9, 1.9, 1.9]:
        schedule.observe(loss_score(value))
        seen.append(schedule(1))
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]


def test_plateau_goes_on_from_its_saved_state():
    first, second = SCHEDULES["plateau"](99), SCHEDULES["plateau"](99)
    second.restore(first.state())  # also before the first score
    for value in [1.0, 1.0]:
        first.observe(loss_score(value))
    second.restore(first.state())
    second.observe(loss_score(1.0))
    assert (first(1), second(1)) == (1.0, 0.5)


def test_plateau_refuses_a_score_without_a_direction():
    with pytest.raises(ConfigError, match="'size' has no better direction"):
        SCHEDULES["plateau"](9).observe(Score("size", 1.0, "", "neither", "dev"))


def test_the_gradient_norm_is_of_all_gradients_as_one_vector():
    a, b = parameter_with_gradient([0, 0], [3, 0]), parameter_with_gradient([0], [4])
    assert gradient_norm([a, b, nn.Parameter(torch.zeros(2))]).item() == 5.0


def test_clipping_by_norm_scales_a_long_gradient_and_leaves_a_short_one_alone():
    for limit, expected in ((1.0, pytest.approx([0.6, 0.8], rel=2e-6)), (5.0, [3.0, 4.0]), (6.0, [3.0, 4.0])):
        p = parameter_with_gradient([0, 0], [3, 4])
        CLIPPINGS["norm"](max_norm=limit)([p], gradient_norm([p]))
        assert p.grad.tolist() == expected  # torch adds 1e-6 to the norm that it divides by


def test_clipping_by_value_cuts_each_entry():
    p = parameter_with_gradient([0, 0, 0], [3, -4, 0.5])
    CLIPPINGS["value"](max_value=2.0)([p], gradient_norm([p]))
    assert p.grad.tolist() == [2, -2, 0.5]


def test_no_clipping_changes_nothing():
    p = parameter_with_gradient([0], [1e9])
    CLIPPINGS["none"]()([p], gradient_norm([p]))
    assert p.grad.tolist() == [1e9]


@pytest.mark.parametrize(("name", "expected"), [("l1", [[1.5, 0.5, 1.0]]), ("l2", [[2.0, 0.0, 1.0]])])
def test_a_penalty_adds_its_slope_to_the_gradient(name, expected):
    w = nn.Parameter(torch.tensor([[2.0, -2.0, 0.0]]))
    w.grad = torch.ones(1, 3)
    PENALTIES[name](strength=0.5)([w])
    assert w.grad.tolist() == expected


def test_a_penalty_is_the_gradient_of_its_formula():
    values = torch.tensor([[0.3, -1.2], [2.0, -0.1]], dtype=torch.float64)
    formulas = {"l1": lambda w: 0.7 * w.abs().sum(), "l2": lambda w: 0.7 / 2 * (w**2).sum()}
    for name, formula in formulas.items():
        w, oracle = nn.Parameter(values.clone()), values.clone().requires_grad_()
        PENALTIES[name](strength=0.7)([w])
        formula(oracle).backward()
        torch.testing.assert_close(w.grad, oracle.grad, rtol=1e-14, atol=0)


def test_penalties_act_on_weights_and_not_on_biases_gains_or_frozen_parameters():
    model = nn.Sequential(nn.LSTM(2, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].weight.requires_grad_(False)
    names = {name for name, p in model.named_parameters() if any(p is w for w in weights_of(model))}
    assert names == {"0.weight_ih_l0", "0.weight_hh_l0"}
