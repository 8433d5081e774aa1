"""Codes of autoencoders, against their papers written out in NumPy float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from oracles import autoencoder as oracle
from recurra.base.errors import ConfigError
from recurra.models.latents import LATENTS
from recurra.models.latents.variational import divergence
from recurra.models.latents.warmups import CyclicWarmup, LinearWarmup

SIZES = {"code": 6, "row": 20, "noisy": 0, "variational": 0}


def made(word: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return LATENTS[word](5, {**SIZES, "variational": int(word == "variational")}, **options).double()


def summary(rows: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(rows, 5)))


def test_the_divergence_of_a_code_is_that_of_the_integral() -> None:
    mean, deviation = np.array([0.3, -2.0, 0.0]), np.array([0.5, 1.7, 1.0])
    found = divergence(torch.from_numpy(mean), torch.from_numpy(2 * np.log(deviation))).sum()
    assert float(found) == pytest.approx(oracle.divergence(mean, deviation), abs=1e-7)


def test_a_code_is_drawn_in_training_and_is_its_mean_in_evaluation() -> None:
    latent = made("variational", beta=3.0)
    draws = torch.randn(4, 6, dtype=torch.float64)
    coded = latent.train()(summary(), draws)
    deviation = torch.exp(0.5 * coded.log_variance)
    torch.testing.assert_close(coded.codes, coded.mean + deviation * draws)
    torch.testing.assert_close(coded.cost, 3 * coded.parts["kl"])
    alone = latent.eval()(summary()[2:3], None)
    torch.testing.assert_close(alone.codes, coded.mean[2:3])
    assert not torch.equal(latent.train()(summary(), None).codes, coded.mean)


def test_free_bits_have_a_price_and_no_gradient() -> None:
    latent = made("variational", free_bits=50.0)
    coded = latent.train()(summary(), None)
    assert coded.cost.tolist() == [300.0] * 4
    coded.cost.sum().backward()
    assert float(latent.mean.weight.grad.abs().sum()) == 0
    assert (coded.parts["kl"] < 50).all()


def test_a_warm_up_counts_updates_and_evaluation_has_all_of_the_cost() -> None:
    latent = made("variational", warmup={"name": "linear", "updates": 4})
    shares = []
    for _ in range(6):
        coded = latent.train()(summary(), None)
        latent.train()(summary(), None)  # of accumulated batches, the second of the same update
        latent.updated()
        shares.append(float((coded.cost[0] / coded.parts["kl"][0]).detach()))
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    coded = latent.eval()(summary(), None)
    assert float((coded.cost[0] / coded.parts["kl"][0]).detach()) == pytest.approx(1)
    assert int(latent.state_dict()["updates"]) == 6
    assert [CyclicWarmup(updates=4, rise=0.5)(i) for i in range(6)] == [0, 0.5, 1, 1, 0, 0.5]
    assert LinearWarmup(updates=10)(5) == 0.5


@pytest.mark.parametrize("nonnegative", [True, False])
def test_the_k_largest_numbers_are_kept(nonnegative: bool) -> None:
    latent = made("top_k", k=2, nonnegative=nonnegative).eval()
    raw = latent.project(summary()).detach().numpy()
    wanted = oracle.k_sparse(raw, 2)
    found = latent(summary(), None).codes.detach().numpy()
    np.testing.assert_allclose(found, np.maximum(wanted, 0) if nonnegative else wanted, atol=1e-12)


def test_a_dead_unit_is_revived_in_training_alone() -> None:
    latent = made("top_k", k=2, nonnegative=False, dead_after=3)
    with torch.no_grad():
        latent.project.bias[4] = -100.0
    for _ in range(3):
        latent.train()(summary(), None)
        latent.train()(summary()[:1], None)
        latent.updated()
    assert int(latent.idle[4]) == 3
    either = latent.train()(summary(), None).codes != 0
    latent(-summary(), None)
    latent.updated()
    assert (latent.idle[either.any(0)] == 0).all()  # used by one of two batches of an update
    latent.idle[4] = 3
    assert (latent.eval()(summary(), None).codes[:, 4] == 0).all()
    assert (latent.train()(summary(), None).codes != 0).sum(1).tolist() == [2, 2, 2, 2]
    still = made("top_k", k=2, nonnegative=False, revive=False).train()
    with torch.no_grad():
        still.project.bias[4] = -100.0
        still.idle[4] = 500
    for _ in range(3):
        assert (still(summary(), None).codes[:, 4] == 0).all()
        still.updated()


def test_what_sparse_codes_cost() -> None:
    latent = made("l1", strength=0.5)
    coded = latent(summary(), None)
    torch.testing.assert_close(coded.cost, 0.5 * coded.codes.abs().sum(1))
    latent = made("rate", rate=0.2, strength=2.0)
    coded = latent(summary(), None)
    z = coded.codes.detach().numpy()
    away = 0.2 * np.log(0.2 / z) + 0.8 * np.log(0.8 / (1 - z))
    np.testing.assert_allclose(coded.cost.detach().numpy(), 2 * away.sum(1), rtol=1e-9)


@pytest.mark.parametrize(
    ("word", "options", "said"),
    [
        ("top_k", {"k": 6}, "k: is 6, expected fewer than task.code_size, 6"),
        ("variational", {"beta": 0.0, "free_bits": 1.0}, "free_bits: have no effect with beta 0"),
        ("variational", {"beta": 0.0, "warmup": "linear"}, "warmup: has no effect with beta 0"),
    ],
)
def test_options_without_effect_are_refused(word: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(word, **options)
    with pytest.raises(ConfigError, match=r"needs task\.variational: true"):
        LATENTS["variational"](5, SIZES)


def test_what_makes_a_unit_dead_is_refused_where_none_is_revived() -> None:
    with pytest.raises(ConfigError, match="dead_after: has no effect with revive: false"):
        made("top_k", k=2, revive=False, dead_after=5)
    assert made("top_k", k=2).dead_after == 200
