"""Weights of bfloat16 and int8: the numbers that they stand for, and an engine that computes with just these."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from oracles.catalogue import ORACLES
from recurra.base.errors import ConfigError
from recurra.cells import CELLS
from recurra.engine import cpu
from recurra.nn import GRU, LSTM, Recurrent, quantize
from recurra.nn.incremental import IncrementalRNN

PRECISIONS = ("bfloat16", "int8")
every_precision = pytest.mark.parametrize("precision", PRECISIONS)
with_engine = pytest.mark.skipif(not cpu.available(), reason="recurra was installed without its native engine")
MATRICES = ("weight_ih", "weight_hh", "weight_hr")


def bfloat16(matrix):
    """The upper half of each float32's bits, rounded to the nearest, ties to even."""
    bits = matrix.view(np.uint32).astype(np.uint64)
    upper = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return (upper << 16).astype(np.uint32).view(np.float32)


def int8(matrix):
    """Whole numbers of -127 .. 127 times a 127th of the row's largest magnitude."""
    scale = np.abs(matrix).max(1, keepdims=True) / np.float32(127)
    return np.rint(matrix / scale).astype(np.float32) * scale


ROUNDED = {"bfloat16": bfloat16, "int8": int8}


def layer_of(cell="lstm", I=5, H=13, seed=0, **options):
    torch.manual_seed(seed)
    P = {"proj_size": 7} if cell == "lstm_projected" else {}
    return Recurrent(I, H, cell=cell, **P, **options).eval()


def with_rounded_weights(layer, precision):
    """The same layer, of float32, with the rounded numbers."""
    other = copy.deepcopy(layer)
    for name, parameter in other.named_parameters():
        if name.startswith(MATRICES):
            parameter.data.copy_(torch.from_numpy(ROUNDED[precision](parameter.detach().numpy())))
    return other


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def flat(made):
    output, state = made
    return [output, *(state if isinstance(state, tuple) else (state,))]


def assert_same_bits(got, expected):
    for a, b in zip(flat(got), flat(expected), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("cell", list(CELLS))
@every_precision
def test_outputs_and_states_are_those_of_the_paper_with_rounded_weights(cell, precision):
    layer, x = layer_of(cell), numbers(6, 3, 5)
    packed = {name.removesuffix("_l0"): p.detach().numpy() for name, p in layer.named_parameters()}
    kept = {n: ROUNDED[precision](t) if n in MATRICES else t for n, t in packed.items()}
    oracle = ORACLES[cell]
    params = oracle.unpack({name: t.astype(np.float64) for name, t in kept.items()})
    zeros = [np.zeros((3, size)) for size in layer.state_sizes()]
    output, states = oracle.run(x.numpy().astype(np.float64), zeros, params)
    for backend in ("auto", "reference"):
        quantized = quantize(layer, precision)
        quantized.backend = backend
        with torch.inference_mode():
            got, *ends = flat(quantized(x))
        assert got.dtype == torch.float32
        # Of float32 sums over 18 numbers, six steps, of magnitude 1: as for layers of float32.
        np.testing.assert_allclose(got.numpy(), output, rtol=2e-5, atol=2e-6)
        for end, expected in zip(ends, states, strict=True):
            np.testing.assert_allclose(end[0].numpy(), expected, rtol=2e-5, atol=2e-6)


def test_rounding_is_within_half_of_the_last_place():
    layer = layer_of()
    W = layer.weight_hh_l0.detach()
    half = quantize(layer, "bfloat16").all_weights[0][1]
    assert ((half - W).abs() <= 2.0**-8 * W.abs()).all()  # 8 significant bits
    whole = quantize(layer, "int8").all_weights[0][1]
    step = W.abs().amax(1, keepdim=True) / 127
    assert ((whole - W).abs() <= step / 2 * (1 + 1e-6)).all()


def test_ties_go_to_even_and_a_row_of_zeros_stays_zero():
    layer = LSTM(2, 1, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_ih_l0[0] = torch.tensor([1 + 2.0**-8, 1 + 3 * 2.0**-8])
    assert quantize(layer, "bfloat16").all_weights[0][0][0].tolist() == [1, 1 + 2.0**-6]
    assert not quantize(layer, "int8").all_weights[0][0][1:].any()


@with_engine
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 3, 5), {}),
        ((9, 1, 1), {"H": 16}),
        ((3, 9, 40), {"H": 33, "num_layers": 2, "bidirectional": True}),
        ((40, 20, 10), {"H": 20, "bias": False}),
        ((2, 2, 600), {"H": 70, "batch_first": True}),
    ],
)
@every_precision
def test_the_engine_has_the_bits_of_float32_layers_with_the_rounded_weights(precision, shape, options):
    for cell in ("lstm", "gru_reset_before", "lstm_projected", "lstm_layernorm"):
        if cell == "lstm_layernorm" and not options.get("bias", True):
            continue
        layer, x = layer_of(cell, shape[-1], **options), numbers(*shape)
        quantized, expected = quantize(layer, precision), with_rounded_weights(layer, precision)
        lengths = torch.arange(x.shape[0 if options.get("batch_first") else 1]) % 3
        with torch.inference_mode():
            for _ in range(3):  # from the second call on, packed weights are kept
                assert_same_bits(quantized(x), expected(x))
            assert_same_bits(quantized(x, lengths=lengths), expected(x, lengths=lengths))


@with_engine
@every_precision
def test_steps_one_by_one_have_these_bits_too(precision):
    layer = layer_of("lstm", num_layers=2)
    states = [(numbers(3, 13), numbers(3, 13))] * 2
    with torch.no_grad():
        quantized = IncrementalRNN(quantize(layer, precision))
        expected = IncrementalRNN(with_rounded_weights(layer, precision))
        assert quantized.steppers
        for got, wanted in zip(quantized(numbers(3, 5), states), expected(numbers(3, 5), states), strict=True):
            assert all(map(torch.equal, got, wanted))


@with_engine
def test_memory_of_weights_is_a_half_and_a_quarter():
    def bytes_of(layer):
        with torch.inference_mode():
            for _ in range(2):
                layer(numbers(2, 1, 256))
        stored = sum(t.nbytes for t in layer.state_dict().values() if t.dim() > 1)
        packed = layer._shortest[0].kept_bytes
        return np.array(
            [stored, packed, IncrementalRNN(layer).steppers[0].nbytes if not torch.is_grad_enabled() else 0]
        )

    layer = layer_of("lstm", 256, 256)
    with torch.no_grad():
        whole, half, quarter = (bytes_of(one) for one in (layer, quantize(layer, "bfloat16"), quantize(layer, "int8")))
    # Biases and scales, and pages of 4 KiB, add less than a fiftieth.
    assert (half <= 0.52 * whole).all()
    assert (quarter <= 0.27 * whole).all()


@with_engine
@every_precision
def test_a_write_to_what_is_stored_takes_effect(precision):
    layer, x = quantize(layer_of(), precision), numbers(4, 2, 5)
    with torch.inference_mode():
        for _ in range(3):
            before = layer(x)[0]
        layer.weight_hh_l0.data[2, 3] += 1
        changed = layer(x)[0]
        other = copy.deepcopy(layer)
        assert not torch.equal(changed, before)
        assert torch.equal(changed, other(x)[0])
        if precision == "int8":
            layer.weight_hh_l0_scale.data[2] *= 2
            assert not torch.equal(layer(x)[0], changed)


@every_precision
def test_gradients_to_the_input_are_those_of_the_rounded_weights(precision):
    layer = layer_of("gru")
    found = []
    for one in (quantize(layer, precision), with_rounded_weights(layer, precision)):
        x = numbers(4, 2, 5).requires_grad_()
        found.append(torch.autograd.grad(one(x)[0].square().sum(), x)[0])
    assert torch.equal(*found)


@every_precision
def test_weights_come_back_from_a_state_dict_of_the_same_kind(precision):
    layer, x = quantize(layer_of(seed=1), precision), numbers(4, 2, 5)
    other = quantize(layer_of(seed=2), precision)
    other.load_state_dict(layer.state_dict())
    with torch.inference_mode():
        assert_same_bits(other(x), layer(x))


@every_precision
def test_double_runs_on_the_rounded_numbers(precision):
    layer, x = layer_of(), numbers(4, 2, 5).double()
    with torch.inference_mode():
        got = quantize(layer, precision).double()(x)[0]
        expected = with_rounded_weights(layer, precision).double()(x)[0]
    # The product with a scale is not rounded to float32 here: 2^-24 of each weight.
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)


def test_a_copy_is_quantized_unless_inplace_is_asked_for():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), GRU(3, 4))
    made = quantize(module, "int8")
    assert module[1].weight_hh_l0.dtype == torch.float32
    assert not made.training
    assert "precision=int8" in repr(made)
    assert quantize(module, "int8", inplace=True) is module
    assert module[1].weight_hh_l0.dtype == torch.int8
    assert module[0].weight.requires_grad


def test_what_cannot_be_quantized_is_refused():
    with pytest.raises(ConfigError, match=r"unknown 'int4'"):
        quantize(LSTM(2, 3), "int4")
    with pytest.raises(ConfigError, match=r"Did you mean .bfloat16"):
        quantize(LSTM(2, 3), "bfloat61")
    with pytest.raises(ConfigError, match="Linear has no recurrent layer"):
        quantize(torch.nn.Linear(2, 3), "int8")
    with pytest.raises(ConfigError, match="weight_ih_l0 is parametrized, pruned or quantized already"):
        quantize(quantize(LSTM(2, 3), "int8"), "bfloat16")
    with pytest.raises(ConfigError, match=r"weight_ih_l0 is torch\.float64, expected float32"):
        quantize(LSTM(2, 3).double(), "int8")
    layer = LSTM(2, 3)
    layer.weight_hh_l0.data[0, 0] = float("inf")
    with pytest.raises(ConfigError, match="weight_hh_l0 holds numbers that are not finite"):
        quantize(layer, "bfloat16")
    assert layer.precision == "float32"


@every_precision
def test_weights_of_another_type_are_not_made_whole_numbers(precision):
    layer = quantize(LSTM(2, 3), precision)
    with pytest.raises(ConfigError, match=r"weight_ih_l0: got torch\.float32, expected"):
        layer.load_state_dict(LSTM(2, 3).state_dict(), strict=False)
    with pytest.raises(ConfigError, match="cannot be drawn anew"):
        layer.reset_parameters()


@with_engine
def test_a_quantized_layer_runs_on_the_engine_with_gradients_and_without():
    layer = quantize(LSTM(2, 3), "int8")
    assert layer.executor() == "cpu"
    with torch.no_grad():
        assert layer.executor() == "cpu"
