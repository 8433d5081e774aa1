"""Products of bfloat16: weights, inputs and states rounded where they meet, and sums of float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nn.test_quantize import bfloat16, flat, layer_of, numbers
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.engine import cpu
from recurra.nn import LSTM, quantize
from recurra.nn.incremental import IncrementalRNN
from recurra.nn.unroll import Unrolled

PRODUCTS = "bfloat16_products"
with_engine = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
every_set = pytest.mark.parametrize("isa", cpu.instruction_sets())


def near(matrix):
    return bfloat16(np.ascontiguousarray(matrix, np.float32)).astype(np.float64)


def lstm_by_hand(layer, x, rounds):
    """Hochreiter & Schmidhuber 1997 with forget gates, in float64, of what `rounds` makes of both sides of products."""
    W, R, b, c = (p.detach().numpy() for p in layer.parameters())
    h, cell, outputs = np.zeros((x.shape[1], R.shape[1])), np.zeros((x.shape[1], R.shape[1])), []
    for x_t in x:
        i, f, g, o = np.split(rounds(x_t) @ rounds(W).T + rounds(h) @ rounds(R).T + b + c, 4, 1)
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        cell = f * cell + i * np.tanh(g)
        h = o * np.tanh(cell)
        outputs.append(h)
    return np.stack(outputs)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(("I", "H", "N"), [(5, 13, 3), (1, 40, 1), (33, 96, 2), (300, 130, 40), (64, 128, 33)])
def test_a_step_is_that_of_the_equations_with_rounded_numbers(backend, I, H, N):
    layer, x = layer_of("lstm", I, H), numbers(1, N, I)
    quantized = quantize(layer, PRODUCTS)
    quantized.backend = backend
    with torch.inference_mode():
        got = quantized(x)[0].numpy()
    # Of float32 sums over I + H numbers of magnitude 1: rounding one more number would show at 1e-3.
    np.testing.assert_allclose(got, lstm_by_hand(layer, x.numpy(), near), rtol=2e-5, atol=2e-6)
    assert np.abs(got - lstm_by_hand(layer, x.numpy(), lambda a: a)).max() > 1e-4


def test_many_steps_stay_as_near_as_rounding_a_state_the_other_way_lets_them():
    layer, x = layer_of("lstm", 20, 70), numbers(12, 5, 20)
    with torch.inference_mode():
        got = quantize(layer, PRODUCTS)(x)[0].numpy()
    # A sum that ends on the other side of a tie moves a state by 2^-8 of itself before it is multiplied.
    np.testing.assert_allclose(got, lstm_by_hand(layer, x.numpy(), near), atol=2e-3)


@with_engine
@every_set
@pytest.mark.parametrize("cell", list(CELLS))
def test_every_cell_and_instruction_set_agrees_with_the_equations(monkeypatch, isa, cell):
    monkeypatch.setenv("RECURRA_ISA", isa)
    layer, x = layer_of(cell, 21, 70), numbers(1, 18, 21)
    quantized, reference = quantize(layer, PRODUCTS), quantize(layer, PRODUCTS)
    reference.backend = "reference"
    with torch.inference_mode():
        states = [numbers(1, 18, size) for size in layer.state_sizes()]
        states = tuple(states) if len(states) > 1 else states[0]
        for a, b in zip(flat(quantized(x, states)), flat(reference(x, states)), strict=True):
            if cell in ("gru_reset_before", "lstm_projected"):  # rounds what it has computed: a tie may end elsewhere
                torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-3)
            else:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@with_engine
@every_set
@pytest.mark.parametrize(("I", "H"), [(7, 24), (40, 128)])
def test_a_row_has_the_same_bits_alone_in_a_batch_by_threads_and_step_by_step(monkeypatch, isa, I, H):
    monkeypatch.setenv("RECURRA_ISA", isa)
    for cell in ("lstm", "gru", "lstm_projected"):
        layer, x = quantize(layer_of(cell, I, H), PRODUCTS), numbers(6, 35, I)
        lengths = torch.arange(35) % 7
        with torch.inference_mode():
            batch, _ = layer(x, lengths=lengths)
            for n in (1, 13, 34):
                alone, _ = layer(x[: n % 7, n : n + 1].contiguous()) if n % 7 else (batch[:0, n : n + 1], None)
                assert torch.equal(batch[: n % 7, n : n + 1], alone)
            whole = layer(x)[0]
            for _ in range(2):  # from the second call on, packed weights are kept
                assert torch.equal(layer(x)[0], whole)
            steps = IncrementalRNN(layer)
            states = (tuple(torch.zeros(35, size) for size in layer.state_sizes()),)
            for x_t, expected in zip(x, whole, strict=True):
                states = steps(x_t, states)
                assert torch.equal(states[0][0], expected)
            threads = torch.get_num_threads()
            try:
                torch.set_num_threads(2)
                assert torch.equal(layer(x)[0], whole)
            finally:
                torch.set_num_threads(threads)


@with_engine
@every_set
def test_what_is_not_finite_reaches_its_own_row_alone(monkeypatch, isa):
    monkeypatch.setenv("RECURRA_ISA", isa)
    layer, x = quantize(layer_of("lstm", 40, 128), PRODUCTS), numbers(2, 3, 40)
    with torch.inference_mode():
        expected = layer(x)[0]
        x[0, 1, 39] = float("nan")
        got = layer(x)[0]
    assert got[:, 1].isnan().all()
    assert torch.equal(got[:, [0, 2]], expected[:, [0, 2]])


def test_gradients_to_the_input_are_of_the_same_numbers():
    layer, x = quantize(layer_of("lstm", 40, 30), PRODUCTS), numbers(1, 2, 40)
    with torch.no_grad():
        plain = layer(x)[0]
    x.requires_grad_()
    output = layer(x)[0]
    torch.testing.assert_close(output, plain, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    unrounded = quantize(layer_of("lstm", 40, 30), "bfloat16")
    (expected,) = torch.autograd.grad(unrounded(x)[0].square().sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=0.05, atol=2e-2)


@pytest.mark.parametrize("known", [0, 4, 9])
@pytest.mark.parametrize("grad", [False, True])
def test_a_layer_that_is_unrolled_rounds_what_it_multiplies_too(known, grad):
    layer, x = quantize(layer_of("lstm", 9, 40), PRODUCTS), numbers(1, 3, 9)
    states = tuple(numbers(1, 3, 40) for _ in range(2))
    with torch.set_grad_enabled(grad):
        expected = layer(x, states)[0][0]
        unrolled = Unrolled(layer, x[0, :, :known], [3])
        ((h, _),) = unrolled.step(0, x[0, :, known:] if known < 9 else None, [tuple(s[0] for s in states)])
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-6)  # 2^-9 apart where it does not


def test_gradients_are_float32_and_go_through_the_rounding_as_if_it_were_not_there():
    layer, x = quantize(layer_of("rnn", 7, 11), PRODUCTS), numbers(1, 2, 7).requires_grad_()
    y, _ = layer(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    W = layer.weight_ih_l0.double().numpy()
    # Elman 1990: h = tanh(W x + b). bfloat16 would be off by up to 2^-9.
    np.testing.assert_allclose(gradient[0].numpy(), (1 - y[0].detach().double().numpy() ** 2) @ W, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("asks", [False, True])
def test_the_rounding_is_the_same_with_a_gradient_of_infinite_numbers_too(asks):
    layer = quantize(layer_of("rnn", 2, 3), PRODUCTS)
    x = torch.tensor([float("inf"), float("-inf"), 3.4e38, 1.00390625, 1e-40, 0.0]).requires_grad_(asks)
    expected = torch.tensor([float("inf"), float("-inf"), float("inf"), 1.0, 1e-40, 0.0]).bfloat16().float()
    assert torch.equal(layer.weights_of(0, 0).argument(x).detach(), expected)


def test_weights_are_stored_as_bfloat16_and_torchs_own_layers_refuse_them():
    layer = quantize(LSTM(4, 6), PRODUCTS)
    assert layer.weight_hh_l0.dtype is torch.bfloat16
    layer.backend = "torch"
    with pytest.raises(ConfigError, match="torch's fused layers round no inputs and states"), torch.no_grad():
        layer(numbers(2, 1, 4))
