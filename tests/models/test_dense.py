"""The dense encoder: the layers in NumPy, each step by itself, padding, pieces, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.models.encoders import Dense

FUNCTIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


def by_hand(model: Dense, x: np.ndarray) -> np.ndarray:
    """One step (I,) through the layers, in float64."""
    for linear, norm in zip(model.linears, model.norms, strict=True):
        weight, bias = linear.weight.detach().double().numpy(), linear.bias.detach().double().numpy()
        x = np.array([sum(w * v for w, v in zip(row, x, strict=True)) for row in weight]) + bias
        if isinstance(norm, torch.nn.LayerNorm):
            scale, shift = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * scale + shift
        x = FUNCTIONS[model.activation](x)
    return x


def made(**options: Any) -> Dense:
    torch.manual_seed(0)
    model = Dense(3, **options).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p)
    return model


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_each_step_goes_through_the_layers_alone_and_padding_is_not_noticed(activation: str, layer_norm: bool) -> None:
    model = made(sizes=(5, 4), activation=activation, layer_norm=layer_norm)
    lengths = [3, 1, 0]
    x = torch.full((4, 3, 3), torch.nan)
    for n, length in enumerate(lengths):
        x[:length, n] = torch.randn(length, 3)
    found = model(x, torch.tensor(lengths), {})
    assert found.states == {}
    for n, length in enumerate(lengths):
        expected = [by_hand(model, step.double().numpy()) for step in x[:length, n]]
        for t in range(length):
            np.testing.assert_allclose(found.outputs[t, n].detach().numpy(), expected[t], rtol=1e-4, atol=1e-5)
        last = expected[-1] if length else np.zeros(4)
        np.testing.assert_allclose(found.summary[n].detach().numpy(), last, rtol=1e-4, atol=1e-5)


def test_garbage_in_the_padding_reaches_no_gradient() -> None:
    model = made(sizes=(4,))
    rows = [torch.randn(4, 3), torch.randn(2, 3)]
    x = torch.nn.utils.rnn.pad_sequence(rows, padding_value=torch.nan)
    model(x, torch.tensor([4, 2]), {}).outputs[:2].square().sum().backward()
    together = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for row in rows:
        model(row[:2].unsqueeze(1), torch.tensor([2]), {}).outputs.square().sum().backward()
    for p, expected in zip(model.parameters(), together, strict=True):
        torch.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-5)


def test_in_pieces_and_step_by_step_it_says_what_it_says_of_the_whole() -> None:
    model = made(sizes=(4, 2), activation="tanh", layer_norm=True)
    x, step = torch.randn(5, 2, 3), model.incremental()
    whole = model(x, torch.tensor([5, 3]), {})
    rest = model(x[2:], torch.tensor([3, 1]), {})
    torch.testing.assert_close(rest.outputs, whole.outputs[2:])
    torch.testing.assert_close(rest.summary, whole.summary)
    for t in range(3):
        torch.testing.assert_close(step(x[t], {})[0], whole.outputs[t])
    assert (model.causal, model.cannot_stream(), model.state_sizes()) == (True, [], {})


def test_dropout_acts_in_training_and_only_there() -> None:
    model = made(sizes=(50,), activation="sigmoid", dropout=0.5)
    x, lengths = torch.randn(1, 1, 3), torch.tensor([1])
    assert (model(x, lengths, {}).outputs > 0).all()
    assert 5 < int((model.train()(x, lengths, {}).outputs == 0).sum()) < 45


def test_layers_have_names_and_no_layers_are_refused() -> None:
    assert [set(layer) for layer in made(sizes=(5, 4)).layers()] == [{"linear.weight", "linear.bias"}] * 2
    normed = {"linear.weight", "linear.bias", "norm.weight", "norm.bias"}
    assert [set(layer) for layer in made(sizes=(5,), layer_norm=True).layers()] == [normed]
    with pytest.raises(ConfigError, match="sizes: has 0 layers, expected 1 to 64; identity has none"):
        Dense(3, sizes=())
