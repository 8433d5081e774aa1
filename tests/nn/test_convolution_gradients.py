"""Gradients of a convolution with norm, relu and a sum inside: equations in NumPy, bits, what is left to torch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from oracles.pictures import convolution_gradients, convolved, norm_gradients
from recurra.base.errors import RunError
from recurra.engine import cpu
from recurra.engine.transformer import NormNumbers
from recurra.models.encoders.image import Block
from recurra.nn import SteadyConvolution, SteadyConvolution1d

pytestmark = pytest.mark.skipif(not cpu.available(), reason="this installation has no native engine")

# channels, outputs, kernel, stride, padding, height, width: no whole panels, more zeros than a kernel, pixels that no
# place reads, pictures narrower than a stride, beside those of every day
SHAPES = (
    (3, 40, 3, 1, 1, 5, 7),
    (3, 32, 3, 2, 1, 6, 9),
    (32, 64, 3, 1, 1, 4, 5),
    (16, 5, 1, 2, 0, 5, 6),
    (8, 33, 1, 3, 1, 6, 4),
    (19, 7, 5, 2, 2, 8, 6),
    (32, 8, 3, 1, 0, 3, 3),
    (4, 6, 2, 3, 3, 5, 4),
    (4, 6, 3, 2, 1, 4, 1),
)


def made(shape: tuple[int, ...]) -> SteadyConvolution:
    torch.manual_seed(1)
    channels, outputs, kernel, stride, padding = shape[:5]
    return SteadyConvolution(channels, outputs, kernel, stride, padding=padding)


def norm_of(kind: str, channels: int) -> NormNumbers | None:
    if kind == "none":
        return None
    weight = torch.randn(channels).requires_grad_()
    bias = torch.randn(channels).requires_grad_() if kind == "layer" else None
    return NormNumbers(kind, weight, bias, 1e-2, channels)


def numbers(t: Tensor) -> np.ndarray:
    return t.detach().double().numpy()


def is_near(found: Tensor | None, wanted: np.ndarray) -> None:
    assert found is not None
    np.testing.assert_allclose(numbers(found), wanted, atol=1e-5 * max(1, np.abs(wanted).max()))  # float32


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["none", "layer", "rms"])
def test_gradients_are_those_of_the_equations(shape: tuple[int, ...], kind: str) -> None:
    layer, (channels, _, _, stride, padding, height, width) = made(shape), shape
    x = (torch.randn(2, height, width, channels) + 0.5).requires_grad_()
    norm, relu = norm_of(kind, channels), kind != "rms"
    beside = torch.randn_like(layer(x)).requires_grad_()
    y = layer.fused(x, norm, relu=relu, beside=beside)
    assert y is not None
    d = torch.randn_like(y)
    y.backward(d)
    sums: list[np.ndarray] = [np.zeros(1)] * 4
    for n in range(2):
        read = said = numbers(x[n])
        if norm is not None and norm.weight is not None:
            said = said - said.mean(-1, keepdims=True) if kind == "layer" else said
            said = said / np.sqrt((said**2).mean(-1, keepdims=True) + norm.eps) * numbers(norm.weight)
            said = said if norm.bias is None else said + numbers(norm.bias)
        shown = np.maximum(said, 0) if relu else said
        wanted = convolved(shown, numbers(layer.weight), numbers(layer.bias), stride, padding)
        is_near(y[n], wanted + numbers(beside[n]))
        d_x, *own = convolution_gradients(shown, numbers(layer.weight), numbers(d[n]), stride, padding)
        d_x = d_x * (said > 0) if relu else d_x
        if norm is not None and norm.weight is not None:
            d_x, *more = norm_gradients(read, numbers(norm.weight), d_x, norm.eps, centred=kind == "layer")
            own += more
        assert x.grad is not None
        is_near(x.grad[n], d_x)
        sums = [a + b for a, b in zip(sums, own, strict=False)]
    parts = (None, None) if norm is None else (norm.weight, norm.bias)
    for parameter, wanted in zip((layer.weight, layer.bias, *parts), sums, strict=False):
        if parameter is not None:
            is_near(parameter.grad, wanted)
    assert torch.equal(beside.grad, d)


def gradients(layer: SteadyConvolution, x: Tensor, norm: NormNumbers | None) -> list[Tensor]:
    """Of x, the kernels, their bias, and the norm, for a loss that weighs every number otherwise."""
    y = layer.fused(x, norm, relu=True)
    assert y is not None
    d = torch.linspace(-1, 1, y[0].numel()).view(y.shape[1:]).expand_as(y)
    asked = [x, layer.weight, layer.bias, *([] if norm is None else [norm.weight, norm.bias])]
    return list(torch.autograd.grad(y, asked, d))


@pytest.mark.parametrize("shape", SHAPES[:6])
def test_bits_are_those_of_one_thread_and_a_picture_has_its_own(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "SMALLEST_SHARED_CALL", 0)
    layer, norm, threads = made(shape), norm_of("layer", shape[0]), torch.get_num_threads()
    x = torch.randn(5, shape[5], shape[6], shape[0]).requires_grad_()
    one = gradients(layer, x, norm)
    try:
        torch.set_num_threads(2)
        two = gradients(layer, x, norm)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a, b)
    for n in range(5):
        assert torch.equal(gradients(layer, x[n : n + 1], norm)[0][0], one[0][n])


def test_training_and_evaluation_say_the_same_bits() -> None:
    layer, x = made(SHAPES[0]), torch.randn(3, 5, 7, 3)
    with torch.no_grad():
        told = layer.eval()(x)
    assert torch.equal(layer.train()(x), told)


def test_many_small_pictures_are_added_up_in_their_order() -> None:
    layer, x = made(SHAPES[3]), torch.randn(150, 5, 6, 16)  # 9 places each: 29 pictures at once
    y = layer(x)
    d = torch.randn_like(y)
    y.backward(d)
    assert layer.weight.grad is not None
    planes = x.double().permute(0, 3, 1, 2)
    wanted = torch.nn.grad.conv2d_weight(planes, layer.weight.shape, d.double().permute(0, 3, 1, 2), stride=2)
    assert_close(layer.weight.grad.double(), wanted, atol=1e-4, rtol=1e-5)  # float32, sums of 1,350 numbers


def test_gradients_of_gradients_are_right() -> None:
    """Torch's, beside the same in float64, which the engine does not take."""
    found = []
    for kind in (torch.float32, torch.float64):
        layer, norm = made((2, 3, 3, 2, 1)), norm_of("layer", 2)
        torch.manual_seed(5)
        x = torch.randn(2, 4, 5, 2).to(kind).requires_grad_()
        layer = layer.to(kind)
        assert norm is not None
        weight = norm.weight.detach().to(kind).requires_grad_()
        if kind == torch.float32:
            y = layer.fused(x, NormNumbers("layer", weight, None, 1e-2, 2), relu=True)
        else:
            assert layer.fused(x) is None
            y = layer(torch.relu(torch.nn.functional.layer_norm(x, (2,), weight, None, 1e-2)))
        first = torch.autograd.grad((y**3).sum(), [x, layer.weight, weight], create_graph=True)
        found.append(torch.autograd.grad(sum((d**2).sum() for d in first), [x, layer.weight, layer.bias, weight]))
    for a, b in zip(*found, strict=True):
        assert_close(a.double(), b, atol=1e-3, rtol=1e-4)


def test_a_batch_of_gradients_is_that_of_each() -> None:
    layer, x = made(SHAPES[0]), torch.randn(2, 5, 7, 3).requires_grad_()
    y = layer(x)
    many = torch.randn(3, *y.shape)
    together = torch.autograd.grad(y, [x, layer.weight], many, is_grads_batched=True, retain_graph=True)
    for k in range(3):
        for a, b in zip(together, torch.autograd.grad(y, [x, layer.weight], many[k], retain_graph=True), strict=True):
            assert_close(a[k], b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_under_autocast_it_is_torchs_in_its_type(training: bool) -> None:
    layer, x = made(SHAPES[2]).train(training), torch.randn(1, 4, 5, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.fused(x) is None
        assert layer(x).dtype is torch.bfloat16
        assert Block(32, 32, 1, "relu").train(training)(x).dtype is torch.float32  # what it read, and a sum
    assert layer(x).dtype is torch.float32


def test_only_what_is_asked_for_is_made() -> None:
    layer, norm = made(SHAPES[0]), norm_of("layer", 3)
    assert norm is not None
    x = torch.randn(2, 5, 7, 3)
    everything = gradients(layer, x.clone().requires_grad_(), norm)[1:]
    asked = [layer.weight, layer.bias, norm.weight, norm.bias]
    for some in itertools.chain(itertools.combinations(range(4), 1), [(0, 2), (1, 3)]):
        for k, parameter in enumerate(asked):
            assert parameter is not None
            parameter.requires_grad_(k in some)
        y = layer.fused(x, norm, relu=True)
        assert y is not None
        d = torch.linspace(-1, 1, y[0].numel()).view(y.shape[1:]).expand_as(y)
        for k, found in zip(some, torch.autograd.grad(y, [asked[k] for k in some], d), strict=True):
            assert torch.equal(found, everything[k])


def test_a_block_in_training_has_the_gradients_of_its_parts() -> None:
    torch.manual_seed(1)
    block, x = Block(4, 6, 2, "relu"), torch.randn(2, 6, 5, 4)
    native, by_parts = [x.clone().requires_grad_() for _ in range(2)]
    d = torch.randn_like(block(x))
    block(native).backward(d)
    found = [p.grad for p in block.parameters()]
    block.zero_grad()
    calls: list[object] = []
    handle = block.conv1.register_forward_hook(lambda layer, given, made: calls.append(layer))
    block(by_parts).backward(d)
    handle.remove()
    assert calls == [block.conv1]  # its parts were called, so that a hook is seen
    assert_close(native.grad, by_parts.grad, atol=1e-5, rtol=1e-5)
    for one, parameter in zip(found, block.parameters(), strict=True):
        assert_close(one, parameter.grad, atol=1e-4, rtol=1e-5)


def test_what_was_saved_may_come_back_in_another_order_and_not_in_another_shape() -> None:
    layer, x = made(SHAPES[2]), torch.randn(2, 4, 5, 32)

    def gradient(unpack: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
            y = layer(x)
        return torch.autograd.grad(y, layer.weight, torch.linspace(-1, 1, y.numel()).view(y.shape))[0]

    turned = gradient(lambda t: t.transpose(0, -1).contiguous().transpose(0, -1))
    assert torch.equal(turned, gradient(lambda t: t))
    with pytest.raises(RunError, match=r"a saved tensor came back as Tensor .*, expected \(2, 4, 5, 32\)"):
        gradient(lambda t: t[:1])


def test_weights_that_changed_since_the_result_are_refused() -> None:
    layer, steps = made(SHAPES[0]), SteadyConvolution1d(3, 4, 3)
    for one, y in ((layer, layer(torch.randn(2, 5, 7, 3))), (steps, steps(torch.randn(5, 2, 3)))):
        with torch.no_grad():
            one.weight.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


@pytest.mark.parametrize("sizes", [(3, 40, 5, 1, 7), (32, 8, 3, 2, 9), (6, 5, 1, 1, 1)])
def test_steps_are_a_picture_of_one_line(sizes: tuple[int, ...]) -> None:
    """Kernels of one line, in the middle of square ones."""
    channels, outputs, kernel, stride, T = sizes
    torch.manual_seed(1)
    layer, middle = SteadyConvolution1d(channels, outputs, kernel, stride, padding=kernel // 2), kernel // 2
    x = torch.randn(T, 3, channels).requires_grad_()
    y = layer(x)
    d = torch.randn_like(y)
    y.backward(d)
    square = np.zeros((outputs, channels, kernel, kernel))
    square[:, :, middle] = numbers(layer.weight)
    sums: list[np.ndarray] = [np.zeros(1)] * 2
    for n in range(3):
        one, d_one = numbers(x)[None, :, n], numbers(d)[None, :, n]
        is_near(y[:, n], convolved(one, square, numbers(layer.bias), stride, middle)[0])
        d_x, *own = convolution_gradients(one, square, d_one, stride, middle)
        assert x.grad is not None
        is_near(x.grad[:, n], d_x[0])
        sums = [a + b for a, b in zip(sums, own, strict=True)]
    is_near(layer.weight.grad, sums[0][:, :, middle])
    assert layer.bias is not None
    is_near(layer.bias.grad, sums[1])
    assert torch.equal(
        layer(torch.cat([x[:, :1], torch.zeros(4, 1, channels)]))[: len(y) - middle], y[: len(y) - middle, :1]
    )


@pytest.mark.parametrize("options", [{"dilation": 2}, {"groups": 2}, {"padding": "same"}, {"padding_mode": "reflect"}])
def test_other_convolutions_of_steps_are_torchs(options: dict[str, object]) -> None:
    torch.manual_seed(1)
    layer, x = SteadyConvolution1d(4, 6, 3, **{"padding": 1, **options}), torch.randn(7, 2, 4)
    wanted = torch.nn.Conv1d.forward(layer, x.permute(1, 2, 0)).permute(2, 0, 1)
    assert torch.equal(layer(x), wanted)
    assert_close(layer.double()(x.double()), wanted.double(), atol=1e-5, rtol=1e-5)


def test_steps_have_the_bits_of_training_and_a_change_of_their_kernels_is_noticed() -> None:
    torch.manual_seed(1)
    layer, x = SteadyConvolution1d(5, 40, 3, padding=1), torch.randn(6, 2, 5)
    learned = layer(x)
    assert layer.kept_plan.nbytes == 0
    with torch.no_grad():
        assert torch.equal(layer.eval()(x), learned)
        kept = layer.kept_plan.nbytes
        assert kept > 0
        layer.weight.data.mul_(2)  # which changes no version
        layer.bias.data.mul_(2)
        assert_close(layer(x), 2 * learned, atol=1e-5, rtol=1e-5)
        assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    assert torch.equal(layer(x), layer.train()(x))
    assert layer.kept_plan.nbytes == 0
