"""Convolutions over pictures as ONNX: inside (M, C, H, W), as ONNX has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from recurra.export.onnx_graph import Drawing, Value
from recurra.models.encoders import Image, Pictures
from recurra.models.encoders.image import Block
from recurra.nn import SteadyTransposed


def pictures(draw: Drawing, encoder: Pictures, x: Value) -> Value:
    """(M, H', W', C'): the last layer over each step of x (T, N, I), M = T N."""
    height, width, colours = encoder.shape
    x = draw.put("Reshape", x, draw.integers(-1, encoder.planes, height, width, colours))
    x = draw.put("Transpose", x, perm=[0, 1, 4, 2, 3])
    x = draw.put("Reshape", x, draw.integers(-1, encoder.planes * colours, height, width))
    for layer, norm in zip(encoder.convolutions, encoder.norms, strict=True):
        x = activated(draw, encoder.activation, norm, convolution(draw, layer, x))
    return places_last(draw, x)


def residual(draw: Drawing, encoder: Image, x: Value) -> Value:
    """(M, H', W', C'): the places of the last stage over each step of x (T, N, I), M = T N."""
    height, width, colours = encoder.shape
    x = draw.put("Reshape", x, draw.integers(-1, height, width, colours))
    y = convolution(draw, encoder.first, draw.put("Transpose", x, perm=[0, 3, 1, 2]))
    for stage in encoder.stages:
        assert isinstance(stage, nn.Sequential)
        for block in stage:
            assert isinstance(block, Block)
            y = _block(draw, block, y)
    return places_last(draw, activated(draw, encoder.activation, encoder.norm, y))


def _block(draw: Drawing, block: Block, x: Value) -> Value:
    """As `Block.forward`."""
    y = activated(draw, block.activation, block.norm1, x)
    beside = x if block.shortcut is None else convolution(draw, block.shortcut, y)
    y = activated(draw, block.activation, block.norm2, convolution(draw, block.conv1, y))
    return draw.put("Add", beside, convolution(draw, block.conv2, y))


def convolution(draw: Drawing, layer: Any, x: Value) -> Value:
    """A convolution, or its transpose."""
    pad, options = layer.padding[0], {"strides": list(layer.stride)}
    weight, bias = draw.weight(layer.weight), draw.weight(layer.bias, "bias")
    if isinstance(layer, SteadyTransposed):
        options["output_padding"] = list(layer.output_padding)
        return draw.put("ConvTranspose", x, weight, bias, pads=[pad] * 4, **options)
    return draw.put("Conv", x, weight, bias, pads=[pad] * 4, **options)


def activated(draw: Drawing, activation: str, norm: nn.Module, x: Value) -> Value:
    """f(norm(x)), the norm over the channels of each place."""
    if isinstance(norm, nn.LayerNorm):
        scale, shift = draw.weight(norm.weight), draw.weight(norm.bias, "bias")
        y = draw.put("LayerNormalization", places_last(draw, x), scale, shift, axis=-1, epsilon=norm.eps)
        x = draw.put("Transpose", y, perm=[0, 3, 1, 2])
    return draw.put(activation.capitalize(), x)  # Relu, Tanh, Sigmoid


def places_last(draw: Drawing, x: Value) -> Value:
    """(M, H, W, C) of (M, C, H, W)."""
    return draw.put("Transpose", x, perm=[0, 2, 3, 1])


def resized(draw: Drawing, x: Value, small: tuple[int, int], size: tuple[int, int]) -> Value:
    """Each pixel several times, where it is nearest; small: the height and width of x"""
    for axis, few, many in zip((2, 3), small, size, strict=True):
        x = draw.put("Gather", x, draw.constant(np.arange(many) * few // many, np.int64), axis=axis)
    return x
