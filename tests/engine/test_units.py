"""Units of the engine, gated or not: against NumPy in float64, and whose bits depend on what."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recurra.engine import cpu
from recurra.engine.units import activated, gated, gelu_tanh

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")
Array = NDArray[np.float64]
FAR = 2.0**33


@pytest.fixture(params=cpu.instruction_sets() or ["none"])
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cpu, "instruction_set", lambda: request.param)
    return str(request.param)


def phi(v: Array) -> Array:
    return np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))(v)


def tanh_form(v: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))


# Of each word torch's function, and its values and slopes (Shazeer 2020; Hendrycks & Gimpel 2016; Elfwing et al. 2017).
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Array], Array], Callable[[Array], Array]]] = {
    "relu": (F.relu, lambda v: np.maximum(v, 0), lambda v: (v > 0).astype(float)),
    "gelu": (F.gelu, lambda v: v * phi(v), lambda v: phi(v) + v * np.exp(-v * v / 2) / math.sqrt(2 * math.pi)),
    "gelu_tanh": (
        gelu_tanh,
        lambda v: v * (1 + tanh_form(v)) / 2,
        lambda v: (
            (1 + tanh_form(v)) / 2
            + v * (1 - tanh_form(v) ** 2) / 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * v * v)
        ),
    ),
    "silu": (
        F.silu,
        lambda v: v / (1 + np.exp(-v)),
        lambda v: (1 + v * (1 - 1 / (1 + np.exp(-v)))) / (1 + np.exp(-v)),
    ),
}


@pytest.mark.parametrize("word", FUNCTIONS)
@pytest.mark.parametrize("shape", [(7, 2), (3, 5, 30), (64, 96), (130,)])
def test_gated_units_and_their_gradients_are_those_of_the_equations(
    isa: str, word: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    function, value, slope = FUNCTIONS[word]
    x = (4 * torch.randn(shape)).requires_grad_()
    y = gated(x, function)
    d_y = torch.randn(y.shape)
    (d_x,) = torch.autograd.grad(y, x, d_y)
    a, b = np.split(x.detach().double().numpy(), 2, axis=-1)
    d = d_y.double().numpy()
    np.testing.assert_allclose(y.detach().numpy(), value(a) * b, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(d_x.numpy(), np.concatenate([d * b * slope(a), d * value(a)], -1), rtol=2e-6, atol=4e-6)


@pytest.mark.parametrize("word", FUNCTIONS)
@pytest.mark.parametrize("shape", [(7, 1), (3, 5, 37), (64, 96)])
def test_units_and_their_gradients_are_those_of_the_equations(isa: str, word: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    function, value, slope = FUNCTIONS[word]
    x = (4 * torch.randn(shape)).requires_grad_()
    y = activated(x, function)
    d_y = torch.randn(y.shape)
    (d_x,) = torch.autograd.grad(y, x, d_y)
    a = x.detach().double().numpy()
    np.testing.assert_allclose(y.detach().numpy(), value(a), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(d_x.numpy(), d_y.double().numpy() * slope(a), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("word", FUNCTIONS)
def test_far_from_zero_the_function_is_zero_or_its_input(isa: str, word: str) -> None:
    far = torch.tensor([[-200.0, 200.0, -FAR, FAR, 3.0, 3.0, 3.0, 3.0]], requires_grad=True)
    y = gated(far, FUNCTIONS[word][0])
    (d,) = torch.autograd.grad(y, far, torch.ones_like(y))
    assert y.tolist() == [[0.0, 600.0, 0.0, 3 * FAR]]
    assert d.tolist() == [[0.0, 3.0, 0.0, 3.0, 0.0, 200.0, 0.0, FAR]]
    assert activated(far[:, :4].detach(), FUNCTIONS[word][0]).tolist() == [[0.0, 200.0, 0.0, FAR]]


def test_bits_depend_neither_on_threads_nor_on_other_rows(isa: str) -> None:
    torch.manual_seed(2)
    x, d = torch.randn(900, 600), torch.randn(900, 300)

    def made(rows: slice) -> tuple[Tensor, Tensor]:
        given = x[rows].clone().requires_grad_()
        y = gated(given, F.silu)
        return y.detach(), torch.autograd.grad(y, given, d[rows])[0]

    together, threads = made(slice(None)), torch.get_num_threads()
    try:
        torch.set_num_threads(3 if threads == 1 else 1)
        assert all(map(torch.equal, together, made(slice(None))))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, of_all[5:9]) for one, of_all in zip(made(slice(5, 9)), together, strict=True))


def test_rows_that_do_not_lie_in_order_have_the_same_units(isa: str) -> None:
    x = torch.randn(12, 40)
    assert torch.equal(gated(x.T.contiguous().T, F.silu), gated(x, F.silu))
    assert torch.equal(gated(torch._neg_view(x), F.silu), gated(-x, F.silu))


@pytest.mark.parametrize("word", FUNCTIONS)
def test_a_second_derivative_is_that_of_torch(word: str) -> None:
    function = FUNCTIONS[word][0]

    def seconds(units: Callable[[Tensor], Tensor]) -> Tensor:
        x = torch.linspace(-2, 3, 24).view(2, 12).requires_grad_()
        (d,) = torch.autograd.grad(units(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(d.square().sum(), x)[0]

    wanted = seconds(lambda x: function(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1])
    torch.testing.assert_close(seconds(lambda x: gated(x, function)), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seconds(lambda x: activated(x, function)), seconds(function), rtol=1e-4, atol=1e-4)


def test_a_second_derivative_of_rows_that_do_not_lie_in_order() -> None:
    x = torch.linspace(-2, 3, 24).view(12, 2).requires_grad_()

    def second(units: Callable[[Tensor], Tensor]) -> Tensor:
        (d,) = torch.autograd.grad(units(x.T).square().sum(), x, create_graph=True)
        return torch.autograd.grad(d.square().sum(), x)[0]

    torch.testing.assert_close(second(lambda rows: activated(rows, F.silu)), second(F.silu), rtol=1e-4, atol=1e-4)
    halves = second(lambda rows: F.silu(rows.chunk(2, -1)[0]) * rows.chunk(2, -1)[1])
    torch.testing.assert_close(second(lambda rows: gated(rows, F.silu)), halves, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("word", FUNCTIONS)
def test_gradients_may_come_in_batches(word: str) -> None:
    function = FUNCTIONS[word][0]
    for units in (lambda x: activated(x, function), lambda x: gated(x, function)):
        x = torch.linspace(-2, 3, 24).view(2, 12).requires_grad_()
        y = units(x)
        several = torch.stack([torch.ones_like(y), torch.arange(y.numel(), dtype=y.dtype).view_as(y)])
        together = torch.autograd.grad(y, x, several, is_grads_batched=True, retain_graph=True)[0]
        for one, d_y in zip(together, several, strict=True):
            torch.testing.assert_close(one, torch.autograd.grad(y, x, d_y, retain_graph=True)[0], rtol=1e-5, atol=1e-6)


def test_where_nothing_comes_of_a_number_an_infinite_gradient_is_zero(isa: str) -> None:
    x = torch.tensor([[-3.0, 2.0, 5.0, 5.0]], requires_grad=True)
    d = torch.autograd.grad(gated(x, F.relu), x, torch.tensor([[math.inf, 1.0]]))[0]
    assert d[0, :2].tolist() == [0.0, 5.0]


def test_a_slope_far_below_zero_is_zero(isa: str) -> None:
    x = torch.tensor([[-1e15, -1e18]], requires_grad=True)
    assert torch.autograd.grad(activated(x, gelu_tanh).sum(), x)[0].tolist() == [[0.0, 0.0]]


def test_a_function_need_not_have_a_hash() -> None:
    class Double:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, x: Tensor) -> Tensor:
            return 2 * x

    assert activated(torch.ones(2, 2), Double()).tolist() == [[2.0, 2.0]] * 2


def test_other_types_and_functions_are_left_to_torch() -> None:
    x = torch.randn(3, 8, dtype=torch.float64)
    a, b = x.chunk(2, 1)
    assert torch.equal(gated(x, F.silu), F.silu(a) * b)
    assert torch.equal(activated(x, F.silu), F.silu(x))
    assert torch.equal(activated(x.float(), torch.tanh), torch.tanh(x.float()))
    assert torch.equal(gated(x.float(), torch.tanh), torch.tanh(a.float()) * b.float())
    assert gated(torch.zeros(0, 8), F.silu).shape == (0, 4)
