"""Reversible instance normalisation: windows in, gains, a linear model, and back, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.models import MODELS
from recurra.tasks.forecasting import Forecasting
from tasks.test_forecasting_task import fitted, plan, record

D, H = 2, 3
OPTIONS: dict[str, Any] = {
    "target": ("y", "rain"), "scaling": "revin", "loss": "mse", "intervals": "none", "lags": (), "calendar": (),
}  # fmt: skip


def linear(task: Forecasting) -> torch.nn.Module:
    """A model whose every step is a linear function of the last step that was read, with gains that are not 1."""
    model = MODELS["forecaster"](task.model_sizes, encoder="identity", head="recursive").double().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64) + 0.5)
    return model


def oracle(values: NDArray[np.float64], model: torch.nn.Module) -> NDArray[np.float64]:
    """(h, D) of a window (L, D): Kim et al. 2022, section 3, eq. 1 to 3, around a linear model."""
    W, b = (getattr(model.head.output, name).detach().numpy() for name in ("weight", "bias"))
    gamma, beta = (getattr(model.gains, name).detach().numpy() for name in ("weight", "bias"))
    mean = np.array([sum(values[:, d]) / len(values) for d in range(D)])
    deviation = np.array([(sum((values[:, d] - mean[d]) ** 2) / len(values)) ** 0.5 for d in range(D)])
    read = gamma * (values[-1] - mean) / deviation + beta
    said = []
    for _ in range(H):
        read = W @ read + b
        said.append((read - beta) / gamma * deviation + mean)
    return np.array(said)


def test_windows_are_normalised_changed_by_gains_and_turned_back() -> None:
    task, _, _ = fitted(plan(**OPTIONS))
    model = linear(task)
    row = record("a", T=30, seed=4)
    window = task.example(row, gold=False)
    batch = task.collate([window], [0])
    batch.inputs.update({name: batch.inputs[name].double() for name in ("features", "future")})
    with torch.no_grad():
        (said,) = task.predict(model, batch, [window])
    values = np.stack([row.fields["y"], row.fields["rain"]], 1)[-12:]
    # Features are float32: 24 bits of numbers of about one.
    assert said.point == pytest.approx(oracle(values, model), rel=1e-5)


def test_in_training_what_is_read_of_the_truth_has_the_gains_too() -> None:
    task, train, _ = fitted(plan(**OPTIONS))
    model = linear(task).train()
    sampler = task.sampler(train, batch_tokens=1000, batch_rows=8, seed=1)
    batch = sampler.batch(sampler.plan(1)[0])
    batch.inputs.update({name: batch.inputs[name].double() for name in ("features", "future")})
    batch.targets["values"] = batch.targets["values"].double()
    numbers = model(batch).outputs["numbers"][..., 0].detach().numpy()
    W, b = (getattr(model.head.output, name).detach().numpy() for name in ("weight", "bias"))
    gamma, beta = (getattr(model.gains, name).detach().numpy() for name in ("weight", "bias"))
    before = np.concatenate([batch.inputs["features"][-1:], batch.targets["values"][:-1]])
    assert numbers == pytest.approx(
        ((gamma * before + beta) @ W.T + b - beta) / gamma, rel=1e-9
    )  # gains are kept from 0 by 1e-10


def test_gains_begin_as_nothing_and_are_learned() -> None:
    task, train, _ = fitted(plan(**OPTIONS))
    torch.manual_seed(0)
    model = MODELS["forecaster"](task.model_sizes, encoder={"name": "recurrent", "hidden_size": 8})
    assert model.gains.weight.tolist() == [1.0, 1.0]
    assert model.gains.bias.tolist() == [0.0, 0.0]
    sampler = task.sampler(train, batch_tokens=1000, batch_rows=8, seed=1)
    batch = sampler.batch(sampler.plan(1)[0])
    task.loss(model(batch), batch).total.backward()
    assert all(bool((one.grad != 0).all()) for one in model.gains.parameters())
    plain, _, _ = fitted(plan(**{**OPTIONS, "scaling": "standard"}))
    assert not [name for name, _ in MODELS["forecaster"](plain.model_sizes).named_parameters() if "gains" in name]


def test_a_number_that_is_missing_stays_nothing() -> None:
    task, _, _ = fitted(plan(**OPTIONS, missing="mask", context=4))
    model = linear(task)
    row = record("a", T=30, seed=4)
    row.fields["y"][-1] = None  # type: ignore[index]
    batch = task.collate([task.example(row, gold=False)], [0])
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    batch.inputs.update({name: batch.inputs[name].double() for name in ("features", "future")})
    with torch.no_grad():
        model(batch)
    assert seen[0][-1, 0, 0].item() == 0.0
    assert seen[0][-1, 0, 1].item() != 0.0
    assert seen[0][-1, 0, 2:].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"scaling_over": "series"}, "scaling_over: scaling revin is of the window that is read"),
        ({"loss": "poisson"}, "scaling: loss poisson counts from 0 on; expected mean or none, got revin"),
    ],
)
def test_what_cannot_be_turned_back_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        plan(scaling="revin", **options)


def test_a_difference_from_the_season_before_has_the_gain_alone() -> None:
    """gamma y + beta less gamma base + beta: the shift is gone."""
    task, _, _ = fitted(plan(**{**OPTIONS, "base": "season", "lags": (6,)}))
    model = MODELS["forecaster"](task.model_sizes, encoder={"name": "recurrent", "hidden_size": 4}).eval()
    batch = task.collate([task.example(record("a", T=30), gold=False)], [0])
    seen: list[torch.Tensor] = []
    model.head.register_forward_hook(lambda layer, args, found: seen.append(found))
    with torch.no_grad():
        model.gains.weight.copy_(torch.tensor([2.0, 4.0]))
        model.gains.bias.copy_(torch.tensor([1.0, 3.0]))
        numbers = model(batch).outputs["numbers"]
    assert torch.allclose(numbers[..., 0], seen[0].view(H, 1, D) / torch.tensor([2.0, 4.0]))
