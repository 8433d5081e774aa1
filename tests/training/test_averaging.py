"""NT-ASGD: when averaging begins, what the mean is, who wears it, and that a resumed run has the same bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from recurra.base.contracts import Score
from recurra.base.errors import ConfigError
from recurra.training import OPTIMIZERS, Checkpoint, WeightAverage, averaged
from recurra.training.checkpoint import load, save


def dev(value: float, better: str = "lower") -> Score:
    return Score("perplexity", value, "", better, "dev")


def rule(p: nn.Parameter, evaluations: int = 2, lr: float = 0.1, **options: float) -> torch.optim.Optimizer:
    return OPTIMIZERS["nt_asgd"]([p], lr=lr, evaluations=evaluations, **options)


def step(optimizer: torch.optim.Optimizer, p: nn.Parameter, gradient: list[float]) -> None:
    p.grad = torch.tensor(gradient)
    optimizer.step()


def worn(optimizer: torch.optim.Optimizer, p: nn.Parameter) -> list[float]:
    with averaged(optimizer):
        return p.tolist()


# Merity et al. 2017, algorithm 1, with n = 2: a score is compared with the best of those before the last two.
@pytest.mark.parametrize(
    ("scores", "better", "expected"),
    [
        ([5, 4, 3, 2, 1], "lower", None),
        ([5, 4, 3, 6], "lower", 3),  # worse than 5, the only one before the last two
        ([5, 4, 3, 4.5, 4.6], "lower", 4),  # 4.5 beats 5; 4.6 is worse than 4
        ([3, 9, 9, 3], "lower", None),  # a tie is not worse
        ([9, 9, 9], "lower", None),  # too early
        ([0.2, 0.3, 0.4, 0.1], "higher", 3),
        ([5, 4, 3, math.nan], "lower", 3),
        ([math.inf, 4, 3, 6], "lower", None),
    ],
)
def test_averaging_begins_when_a_score_is_worse_than_the_best_of_those_before_the_last_n(scores, better, expected):
    p = nn.Parameter(torch.zeros(1))
    optimizer = rule(p)
    began = None
    for at, score in enumerate(scores):
        optimizer.observe(dev(score, better))
        if optimizer.param_groups[0]["averaging"] and began is None:
            began = at
    assert began == expected


def test_it_is_sgd_and_the_mean_is_over_the_weights_since_averaging_began():
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = rule(p, evaluations=1, lr=0.5)
    step(optimizer, p, [2.0, 0.0])
    assert p.tolist() == [0.0, 2.0]
    for score in (1, 2, 3):
        assert worn(optimizer, p) == [0.0, 2.0]
        optimizer.observe(dev(score))
    seen = []
    for gradient in ([-2.0, 2.0], [4.0, 2.0], [0.0, -8.0], [1.0, 1.0]):
        step(optimizer, p, gradient)
        seen.append(p.tolist())
    assert seen == [[1.0, 1.0], [-1.0, 0.0], [-1.0, 4.0], [-1.5, 3.5]]
    assert worn(optimizer, p) == pytest.approx([-2.5 / 4, 8.5 / 4])
    assert p.tolist() == [-1.5, 3.5]


def test_weight_decay_is_added_to_the_gradient():
    p = nn.Parameter(torch.tensor([2.0]))
    step(rule(p, lr=0.5, weight_decay=0.25), p, [1.0])
    assert p.tolist() == [2.0 - 0.5 * (1 + 0.25 * 2)]


def test_the_weights_come_back_when_scoring_fails():
    p = nn.Parameter(torch.tensor([1.0]))
    optimizer = rule(p, evaluations=1, lr=1.0)
    for score in (1, 2, 3):
        optimizer.observe(dev(score))
    step(optimizer, p, [1.0])
    step(optimizer, p, [4.0])

    def fail() -> None:
        assert p.tolist() == [-2.0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), averaged(optimizer):
        fail()
    assert p.tolist() == [-4.0]


def test_an_optimizer_without_means_leaves_the_weights_alone():
    p = nn.Parameter(torch.tensor([1.0]))
    optimizer = OPTIMIZERS["adam"]([p], lr=0.5)
    step(optimizer, p, [1.0])
    assert worn(optimizer, p) == p.tolist()


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_run_resumed_from_a_checkpoint_has_the_same_weights_and_means(stop, tmp_path):
    scores = [3, 2, 4, math.nan, 5, 1, 1, 1]

    def run(steps: range, p: nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
        for k in steps:
            step(optimizer, p, [math.sin(k), math.cos(k), 0.1 * k])
            optimizer.observe(dev(scores[k]))

    whole, first, second = (nn.Parameter(torch.ones(3)) for _ in range(3))
    straight, before, after = (rule(p) for p in (whole, first, second))
    run(range(8), whole, straight)
    run(range(stop), first, before)
    state = {"p": first.detach()}
    save(tmp_path / "last.ckpt", Checkpoint(state, before.state_dict(), step=stop, epoch=1, position=0))
    found = load(tmp_path / "last.ckpt")
    after.load_state_dict(found.optimizer)
    with torch.no_grad():
        second.copy_(found.model["p"])
    run(range(stop, 8), second, after)
    assert torch.equal(second, whole)
    assert worn(after, second) == worn(straight, whole)
    assert worn(straight, whole) != whole.tolist()
    assert after.state_dict()["param_groups"][0].keys() == before.state_dict()["param_groups"][0].keys()


def test_the_best_checkpoint_holds_the_means_once_and_goes_on_from_them(tmp_path):
    p = nn.Parameter(torch.ones(1000))
    optimizer = rule(p, evaluations=1)
    for score in (1, 2, 3):
        optimizer.observe(dev(score))
    for k in range(3):
        step(optimizer, p, [float(k)] * 1000)
    with averaged(optimizer):
        model = {"p": p.detach()}
        save(tmp_path / "best.ckpt", Checkpoint(model, optimizer.state_dict(), step=3, epoch=1, position=0))
    found = load(tmp_path / "best.ckpt")
    assert (tmp_path / "best.ckpt").stat().st_size < 2 * 4000
    assert found.model["p"].tolist() == worn(optimizer, p)
    assert torch.equal(found.optimizer["state"][0]["mean"], found.model["p"])


def test_bounds_and_a_score_without_direction_are_refused():
    p = nn.Parameter(torch.zeros(1))
    with pytest.raises(ConfigError, match="nt_asgd: evaluations: expected >= 1"):
        rule(p, evaluations=0)
    with pytest.raises(ConfigError, match="no better direction"):
        rule(p).observe(dev(1, "neither"))


# -- the mean of the last epochs, and of all steps ---------------------------------------------------------------------


def mean_of(average: WeightAverage, model: nn.Module) -> list[float]:
    with average.worn():
        return [float(p.detach()) for p in model.parameters()]


def one_weight(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


@pytest.mark.parametrize(("last", "expected"), [(1, [1, 2, 6, 4]), (2, [1, 1.5, 4, 5]), (3, [1, 1.5, 3, 4])])
def test_the_mean_is_of_the_last_epochs_with_the_newest_among_them(last: int, expected: list[float]) -> None:
    model = one_weight(0.0)
    average, found = WeightAverage(model, last=last), []
    for value in (1.0, 2.0, 6.0, 4.0):
        nn.init.constant_(model.weight, value)
        found += mean_of(average, model)
        average.end_epoch()
        assert float(model.weight.detach()) == value
    assert found == expected


def test_the_exponential_mean_follows_its_equation_and_begins_with_the_first_step() -> None:
    model = one_weight(0.0)
    average, mean, weights = WeightAverage(model, decay=0.25), 0.0, [3.0, 5.0, 1.0, 8.0]
    for step, value in enumerate(weights, start=1):
        nn.init.constant_(model.weight, value)
        average.end_step(step)
        d = min(0.25, (1 + step) / (10 + step))
        mean = value if step == 1 else d * mean + (1 - d) * value
        assert mean_of(average, model) == [pytest.approx(mean, rel=1e-6)]


@pytest.mark.parametrize("options", [{"last": 3}, {"decay": 0.9}])
def test_a_mean_that_is_saved_and_restored_goes_on_with_the_same_bits(options: dict[str, Any]) -> None:
    model, other = one_weight(0.1), one_weight(0.1)
    one, two = WeightAverage(model, **options), WeightAverage(other, **options)
    for step, value in enumerate((0.3, 0.7, 0.2, 0.9), start=1):
        if step == 3:
            fresh = WeightAverage(other, **options)
            fresh.restore({name: tensor.clone() for name, tensor in two.state().items()})
            two = fresh
        for average, net in ((one, model), (two, other)):
            nn.init.constant_(net.weight, value)
            average.end_step(step)
            average.end_epoch()
        assert mean_of(one, model) == mean_of(two, other)


def test_without_either_the_weights_are_their_own_and_nothing_is_kept() -> None:
    model = one_weight(2.0)
    average = WeightAverage(model)
    average.end_step(1)
    average.end_epoch()
    assert (mean_of(average, model), average.state()) == ([2.0], {})


def test_a_mean_of_another_model_is_refused() -> None:
    average = WeightAverage(nn.Linear(2, 3), decay=0.5)
    with pytest.raises(ValueError, match=r"a mean of shape \(1,\) for a parameter of shape \(3, 2\)"):
        average.restore({"0/weight": torch.zeros(1), "0/bias": torch.zeros(3)})
