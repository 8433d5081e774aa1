"""A convolution in one native call, with norm, relu and a sum inside: the equation in NumPy, bits, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles.pictures import convolved
from recurra.base.errors import ShapeError
from recurra.engine import cpu
from recurra.engine.transformer import NormNumbers
from recurra.nn import SteadyConvolution

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")

# channels, outputs, kernel, stride, padding, height, width: whole vectors and not, rows of one tile and of several
SHAPES = (
    (3, 32, 3, 2, 1, 12, 40),
    (32, 64, 3, 1, 1, 5, 19),
    (16, 5, 1, 2, 0, 7, 37),
    (48, 33, 1, 3, 1, 6, 35),
    (19, 40, 5, 2, 2, 8, 6),
    (32, 8, 3, 1, 0, 3, 3),
)


def made(shape: tuple[int, ...]) -> SteadyConvolution:
    torch.manual_seed(1)
    channels, outputs, kernel, stride, padding = shape[:5]
    return SteadyConvolution(channels, outputs, kernel, stride, padding=padding).eval()


def normed(x: np.ndarray, norm: NormNumbers) -> np.ndarray:
    """Ba et al. 2016, or Zhang & Sennrich 2019, in float64."""
    if norm.kind == "layer":
        x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + norm.eps)
    for part, into in ((norm.weight, np.multiply), (norm.bias, np.add)):
        x = x if part is None else into(x, part.double().numpy())
    return x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["none", "layer", "rms"])
def test_it_is_the_equation(shape: tuple[int, ...], kind: str) -> None:
    layer, (channels, stride, padding, height, width) = made(shape), (shape[0], *shape[3:])
    x = torch.randn(2, height, width, channels) + 0.5
    bias = torch.randn(channels) if kind == "layer" else None
    norm = None if kind == "none" else NormNumbers(kind, torch.randn(channels), bias, 1e-3, channels)
    with torch.no_grad():
        plain = layer(x)
        beside = torch.randn_like(plain)
        found = layer.fused(x, norm, relu=kind != "rms", beside=beside)
    assert found is not None
    for n in range(2):
        y = x[n].double().numpy()
        y = y if norm is None else normed(y, norm)
        y = y if kind == "rms" else np.maximum(y, 0)
        weight, own = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
        wanted = convolved(y, weight, own, stride, padding) + beside[n].double().numpy()
        np.testing.assert_allclose(found[n].numpy(), wanted, atol=2e-5)  # float32, sums of up to 475 numbers
        alone = convolved(x[n].double().numpy(), weight, own, stride, padding)
        np.testing.assert_allclose(plain[n].numpy(), alone, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_picture_has_the_same_bits_alone_and_on_two_threads_and_as_a_product(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    layer, threads = made(shape), torch.get_num_threads()
    x = torch.randn(5, shape[5], shape[6], shape[0])
    norm = NormNumbers("layer", torch.ones(shape[0]), None, 1e-5, shape[0])
    with torch.no_grad():
        together, plain = layer.fused(x, norm, relu=True), layer(x)
        try:
            torch.set_num_threads(2)
            assert torch.equal(layer.fused(x, norm, relu=True), together)
        finally:
            torch.set_num_threads(threads)
        for n in range(5):
            assert torch.equal(layer.fused(x[n : n + 1], norm, relu=True)[0], together[n])
    assert torch.equal(layer(x), plain)  # with gradients
    assert torch.equal(layer._product(x), plain)


def test_it_does_not_run_where_it_cannot() -> None:
    layer = made(SHAPES[1])
    x = torch.randn(1, 6, 6, 32)
    with torch.no_grad():
        assert layer.fused(x) is not None
        assert layer.fused(x.double()) is None
        assert layer.fused(torch.randn(1, 6, 0, 32)) is None
        assert made(SHAPES[5]).fused(torch.randn(1, 2, 6, 32)) is None
        with pytest.raises(ShapeError, match="3 x 3 x 32: got pictures of"):
            layer.fused(torch.randn(1, 6, 6, 31))
        with pytest.raises(ShapeError, match="beside has shape"):
            layer.fused(x, beside=torch.randn(1, 6, 5, 64))
        assert layer.kept_plan.nbytes > 0
        layer.train()(x)
        assert layer.kept_plan.nbytes == 0


def test_a_change_of_a_layer_is_noticed_between_calls() -> None:
    layer, x = SteadyConvolution(16, 32, 3, 1, padding=1).eval(), torch.randn(1, 7, 9, 16)
    with torch.no_grad():
        layer(x)
        layer.weight.data[3] = 2.0
        assert torch.equal(layer(x), layer._product(x))
        layer.stride, layer.padding = (2, 2), (0, 0)
        assert layer(x).shape == (1, 3, 4, 32)
        assert torch.equal(layer(x), layer._product(x))
