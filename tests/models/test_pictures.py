"""Convolutions over pictures: the layers in NumPy, their mirror, colours, marks, padding, places, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from oracles import pictures as oracle
from recurra.base.errors import ConfigError
from recurra.models.autoencoder import Autoencoder
from recurra.models.encoders import Dense, Pictures
from recurra.models.reconstructions import PictureReconstruction
from recurra.nn import SteadyConvolution, SteadyTransposed

SIZES = {"values": 105, "parameters": 1, "steps": 1}
SHAPE = (7, 5, 3)


def random(module: Any) -> Any:
    torch.manual_seed(0)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return module.double().eval()


def numbers(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).normal(size=shape))


def array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach())


def by_hand(encoder: Pictures, picture: np.ndarray) -> np.ndarray:
    """The last layer of one picture (H, W, C), in loops."""
    pad = (encoder.kernel_size - 1) // 2
    for layer, norm in zip(encoder.convolutions, encoder.norms, strict=True):
        picture = oracle.convolved(picture, array(layer.weight), array(layer.bias), encoder.stride, pad)
        if isinstance(norm, torch.nn.LayerNorm):
            away = picture - picture.mean(2, keepdims=True)
            picture = away / np.sqrt((away**2).mean(2, keepdims=True) + 1e-5) * array(norm.weight) + array(norm.bias)
        picture = np.maximum(picture, 0)
    return picture


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (4, 2), (3, 1), (1, 1), (5, 3)])
@pytest.mark.parametrize("training", [False, True])
def test_layers_are_those_of_the_paper_for_each_step_alone(kernel_size: int, stride: int, training: bool) -> None:
    made = Pictures(105, shape=SHAPE, channels=(4, 2), kernel_size=kernel_size, stride=stride, layer_norm=True)
    encoder = random(made).train(training)
    x = torch.full((2, 3, 105), torch.nan, dtype=torch.float64)
    lengths = [2, 1, 0]
    for n, length in enumerate(lengths):
        x[:length, n] = numbers(length, 105) + n
    found = encoder(x, torch.tensor(lengths), {})
    for n, length in enumerate(lengths):
        for t in range(length):
            expected = by_hand(encoder, array(x[t, n]).reshape(SHAPE)).ravel()
            np.testing.assert_allclose(array(found.outputs[t, n]), expected, atol=1e-10)
        last = array(found.outputs[length - 1, n]) if length else np.zeros(encoder.output_size)
        np.testing.assert_array_equal(array(found.summary[n]), last)
    found.summary.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters())


def test_marks_beside_a_picture_are_more_colours_of_each_pixel() -> None:
    encoder = random(Pictures(2 * 35, shape=(7, 5), channels=(2,)))
    values, marks = numbers(35), numbers(70)[35:]
    found = encoder(torch.cat([values, marks]).view(1, 1, 70), torch.ones(1, dtype=torch.int64), {}).summary[0]
    both = np.stack([array(values).reshape(7, 5), array(marks).reshape(7, 5)], 2)
    np.testing.assert_allclose(array(found), by_hand(encoder, both).ravel(), atol=1e-10)


def test_places_are_steps_or_have_a_mean() -> None:
    x, one = numbers(1, 2, 105), torch.ones(2, dtype=torch.int64)
    flat, mean, places = (
        random(Pictures(105, shape=SHAPE, outputs=word))(x, one, {}) for word in ("flat", "mean", "places")
    )
    expected = array(flat.summary).reshape(2, 2 * 2, 64)
    np.testing.assert_array_equal(array(places.outputs), expected.transpose(1, 0, 2))
    assert places.lengths.tolist() == [4, 4]
    np.testing.assert_allclose(array(mean.outputs[0]), expected.mean(1), atol=1e-12)
    np.testing.assert_array_equal(array(mean.summary), array(places.summary))


@pytest.mark.parametrize("options", [{}, {"kernel_size": 4}, {"kernel_size": 5, "stride": 3}, {"stride": 1}])
@pytest.mark.parametrize("training", [False, True])
def test_the_mirror_writes_what_the_encoder_reads(options: dict[str, int], training: bool) -> None:
    encoder = random(Pictures(105, shape=SHAPE, channels=(4, 2), **options))
    decoder = random(PictureReconstruction(6, encoder, SIZES)).train(training)
    codes = numbers(2, 6)
    found = decoder(codes, torch.ones(2, dtype=torch.int64))
    assert found.shape == (1, 2, 105)
    for n in range(2):
        x = array(decoder.project(codes[n])).reshape(decoder.first)
        for layer, size in zip(decoder.convolutions, decoder.sizes[1:], strict=True):
            weight, bias = array(layer.weight), array(layer.bias)
            pad = (encoder.kernel_size - 1) // 2
            x = oracle.transposed(np.maximum(x, 0), weight, bias, encoder.stride, pad, size)
        np.testing.assert_allclose(array(found[0, n]), x.ravel(), atol=1e-10)


def test_pixels_can_be_repeated_instead() -> None:
    encoder = random(Pictures(105, shape=SHAPE, channels=(2,)))
    decoder = random(PictureReconstruction(6, encoder, {**SIZES, "parameters": 2}, upsampling="nearest"))
    code = numbers(1, 6)
    x = np.maximum(array(decoder.project(code)).reshape(4, 3, 2), 0)
    large = np.array([[x[i * 4 // 7, j * 3 // 5] for j in range(5)] for i in range(7)])
    (layer,) = decoder.convolutions
    expected = oracle.convolved(large, array(layer.weight), array(layer.bias), 1, 1)
    np.testing.assert_allclose(array(decoder(code, torch.ones(1)))[0, 0], expected.ravel(), atol=1e-10)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"shape": (7, 5)}, "7 x 5 x 1 are 35 numbers, and a step of the data has 106; expected as many"),
        ({"shape": (106,)}, "shape: has 1 number, expected height and width, and 3 for colours"),
        ({"shape": (106, 1), "channels": ()}, "channels: has 0 layers"),
        ({"shape": (106, 1), "kernel_size": 1}, "stride: is 2, and a kernel of 1 would miss pixels"),
        ({"shape": (106, 1), "kernel_size": 4}, "after 0 layers nothing is left of a picture"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Pictures(106, **options)


def test_a_mirror_needs_an_encoder_of_pictures_and_as_many_layers() -> None:
    with pytest.raises(ConfigError, match="mirrors encoder pictures, and the encoder is another"):
        PictureReconstruction(6, Dense(105), SIZES)
    encoder = Pictures(105, shape=SHAPE, kernel_size=4)
    with pytest.raises(ConfigError, match=r"channels: has 1 layer, and the encoder 2.*\n?.*odd model.encoder.kernel"):
        PictureReconstruction(6, encoder, SIZES, channels=(3,), upsampling="nearest")
    with pytest.raises(ConfigError, match="writes 105 numbers, and a row has 104"):
        PictureReconstruction(6, encoder, {**SIZES, "values": 104})


def test_an_encoder_that_is_refused_says_nothing_of_its_mirror() -> None:
    sizes = {"features": 106, "code": 2, "row": 106, "noisy": 0, "variational": 0, "shared": 0, **SIZES, "values": 106}
    with pytest.raises(ConfigError) as error:
        Autoencoder(sizes, encoder={"name": "pictures", "shape": [7, 5]}, decoder="pictures")
    assert len(error.value.problems) == 1


@pytest.mark.parametrize(
    "options",
    [{"dilation": 2}, {"groups": 2}, {"padding": (1, 0)}, {"stride": (1, 2)}, {"padding_mode": "reflect"}],
    ids=str,
)
def test_what_a_steady_convolution_would_not_do_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SteadyConvolution(4, 4, 3, **options)
    if "padding_mode" not in options:  # torch itself refuses it there
        with pytest.raises(ConfigError, match=next(iter(options))):
            SteadyTransposed(4, 4, 3, **options)
    with pytest.raises(ConfigError, match="output_size: is not read"):
        SteadyTransposed(4, 4, 3)(torch.zeros(1, 2, 2, 4), [5, 5])
