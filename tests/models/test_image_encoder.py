"""The residual network over pictures, patches, and two encoders: by an oracle, alone and in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from oracles.pictures import convolved
from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.engine import cpu
from recurra.models import DualEncoder, EncoderDecoder
from recurra.models.encoders import Image
from recurra.models.encoders.dense import ACTIVATIONS
from recurra.models.encoders.image import Block
from recurra.models.inputs import Images, Patches
from recurra.nn import SteadyConvolution

ONE = torch.ones(1, dtype=torch.int64)
SIZES = {"height": 16, "width": 16, "channels": 3, "tokens": 9}


def normed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def test_a_block_is_the_equation_of_the_paper():
    torch.manual_seed(1)
    block = Block(3, 4, 2, "relu").eval()
    for parameter in block.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    p = {name: value.detach().double().numpy() for name, value in block.named_parameters()}
    x = np.random.default_rng(2).normal(size=(6, 5, 3))
    y = np.maximum(normed(x, p["norm1.weight"], p["norm1.bias"]), 0)
    beside = convolved(y, p["shortcut.weight"], p["shortcut.bias"], 2, 0)
    y = convolved(y, p["conv1.weight"], p["conv1.bias"], 2, 1)
    y = np.maximum(normed(y, p["norm2.weight"], p["norm2.bias"]), 0)
    expected = beside + convolved(y, p["conv2.weight"], p["conv2.bias"], 1, 1)
    found = block(torch.tensor(x[None], dtype=torch.float32)).detach().numpy()[0]
    np.testing.assert_allclose(found, expected, atol=2e-5)  # float32 beside float64


class Doubled(SteadyConvolution):
    def forward(self, x):
        return 2 * super().forward(x)


def moved(block: Block) -> Block:
    """In evaluation, with norms that are not those of the start."""
    for parameter in block.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return block.eval()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(4, 4, 1), (4, 6, 1), (4, 4, 2)])
def test_a_block_says_the_same_in_native_calls_as_part_by_part(activation, sizes):
    torch.manual_seed(1)
    block, x = moved(Block(*sizes, activation)), torch.randn(2, 6, 5, 4)
    by_parts = block(x)  # with gradients
    with torch.no_grad():
        assert_close(block(x), by_parts, atol=1e-5, rtol=1e-5)
        if cpu.available():
            assert (block._fused(x) is not None) == (activation == "relu")


@pytest.mark.parametrize("name", ["conv1", "conv2", "shortcut"])
def test_a_convolution_with_a_forward_of_its_own_or_a_hook_is_called(name):
    torch.manual_seed(1)
    block, x = moved(Block(4, 6, 1, "relu")), torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        plain, layer = block(x), getattr(block, name)
        handle = layer.register_forward_hook(lambda layer, given, made: 2 * made)
        doubled = block(x)
        handle.remove()
        assert torch.equal(block(x), plain)
        layer.__class__ = Doubled
        assert_close(block(x), doubled)
    assert not torch.allclose(plain, doubled)


def test_places_are_rows_of_a_grid_and_the_summary_is_their_mean():
    encoder = Image(16 * 16 * 3, channels=(4, 6)).eval()
    x = torch.randn(1, 2, 16 * 16 * 3)
    found = encoder(x, torch.ones(2, dtype=torch.int64), {})
    assert encoder.grid == (4, 4)
    assert found.outputs.shape == (16, 2, 6)
    assert found.lengths.tolist() == [16, 16]
    torch.testing.assert_close(found.summary, found.outputs.mean(0))
    # A change in the last rows of pixels does not reach the first place.
    changed = x.clone()
    changed[:, :, -16 * 3 :] += 1
    there = encoder(changed, torch.ones(2, dtype=torch.int64), {}).outputs
    assert torch.equal(there[0], found.outputs[0])
    assert not torch.equal(there[-1], found.outputs[-1])


@pytest.mark.parametrize("inputs", ["images", "patches"])
def test_a_picture_has_the_same_bits_alone_and_in_a_batch(inputs: str):
    torch.manual_seed(3)
    first = {"name": "patches", "patch_size": 4, "embedding_size": 16} if inputs == "patches" else inputs
    encoder = {"name": "transformer", "hidden_size": 16, "num_heads": 2} if inputs == "patches" else "image"
    model = DualEncoder(SIZES, inputs=first, encoder=encoder, embedding_size=8).eval()
    pixels = torch.randint(0, 255, (5, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        together = model(Batch({"pixels": pixels}, torch.ones(5, dtype=torch.int64), {}, tuple(range(5)))).outputs
        for n in range(5):
            alone = model(Batch({"pixels": pixels[n : n + 1]}, ONE, {}, (0,))).outputs
            assert torch.equal(together["image"][n], alone["image"][0])


def test_sizes_that_are_no_pictures_are_refused():
    with pytest.raises(ConfigError, match="no square picture"):
        Image(60)
    with pytest.raises(ConfigError, match=r"4 x 4 x 1 are 16 numbers, and a step of the data has 60"):
        Image(60, shape=(4, 4))
    with pytest.raises(ConfigError, match="does not divide pictures of 16 x 16"):
        Patches(SIZES, patch_size=5)
    assert Image(4 * 9 * 3, shape=(4, 9, 3), channels=(2,)).grid == (2, 5)


@pytest.mark.parametrize("model", [DualEncoder, EncoderDecoder])
def test_pictures_that_the_encoder_would_read_in_another_shape_are_refused(model):
    sizes = {**SIZES, "height": 8, "width": 32, "target": 9}

    def made(*shape):
        return model(sizes, inputs="images", encoder={"name": "image", "channels": [4], "shape": shape})

    with pytest.raises(ConfigError, match=r"pictures are 8 x 32 x 3, .* as 32 x 8 x 3; set shape: \[8, 32, 3\]"):
        made(32, 8, 3)
    made(8, 32, 3)


def test_pixels_are_numbers_from_minus_one_to_one():
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    pixels[0, 0, 1] = 255
    x, lengths = Images(SIZES)(Batch({"pixels": pixels}, ONE, {}, (0,)))
    assert x.shape == (1, 1, 16 * 16 * 3)
    assert lengths.tolist() == [1]
    assert x[0, 0, :6].tolist() == [-1, -1, -1, 1, 1, 1]


def test_vectors_of_both_sides_have_length_one():
    torch.manual_seed(4)
    model = DualEncoder(SIZES, embedding_size=7).eval()
    inputs = {
        "pixels": torch.randint(0, 255, (3, 16, 16, 3), dtype=torch.uint8),
        "tokens": torch.tensor([[5, 6], [7, 0]]),
        "text_lengths": torch.tensor([2, 1]),
    }
    out = model(Batch(inputs, torch.ones(3, dtype=torch.int64), {}, (0, 1, 2))).outputs
    assert out["image"].shape == (3, 7)
    assert out["text"].shape == (2, 7)
    for side in ("image", "text"):
        torch.testing.assert_close(out[side].norm(dim=1), torch.ones(len(out[side])))
    assert out["scale"].item() == pytest.approx(1 / 0.07, rel=1e-5)


def test_a_temperature_beyond_its_bound_comes_back():
    model = DualEncoder(SIZES, embedding_size=7).train()
    with torch.no_grad():
        model.log_scale.fill_(9.0)
    scale = model(Batch({}, ONE, {}, (0,))).outputs["scale"]
    scale.backward()
    assert scale.item() == pytest.approx(100, rel=1e-5)
    assert model.log_scale.grad == pytest.approx(100, rel=1e-5)
    assert model.log_scale.item() == pytest.approx(np.log(100), rel=1e-6)
