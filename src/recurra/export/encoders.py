"""Encoders as ONNX: from x (T, N, I) to outputs, a summary, and states by name, as `recurra.models.encoders`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.chunked import chunked
from recurra.export.layers import linear
from recurra.export.onnx_graph import FLOAT, Drawing, Value
from recurra.export.parts import Named, some_state
from recurra.export.pictures import pictures, residual
from recurra.export.recurrent import last, recurrent
from recurra.export.transformers import causal, pretrained, transformer
from recurra.models.encoders import (
    AWD,
    ENCODERS,
    Chunked,
    Convolutional,
    Dense,
    ELMo,
    Identity,
    Image,
    Pictures,
    Pretrained,
    RecurrentEncoder,
    Transformer,
)
from recurra.models.encoders.recurrent import state_names
from recurra.nn import Recurrent

States = Mapping[str, Value]

MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class EncodedValues:
    """As `recurra.models.contract.Encoded`, as values."""

    outputs: Value
    lengths: Value
    summary: Value
    states: States


def encoded(draw: Drawing, encoder: nn.Module, x: Value, lengths: Value, given: States) -> EncodedValues:
    """Draw an encoder. given: the states before the first step; zero where there are none.

    Raises ConfigError for an encoder that is not known.
    """
    writer = WRITERS.get(type(encoder))
    if writer is None:
        known = ", ".join(word for word in ENCODERS if ENCODERS[word] in set[object](WRITERS))
        raise ConfigError(
            f"export: there is no way to write an encoder {type(encoder).__name__} as ONNX; {known} have one."
        )
    return writer(draw, encoder, x, lengths, given)


def longest(encoder: nn.Module) -> int:
    """Steps that a sequence has at most."""
    table = encoder.places.table if isinstance(encoder, Transformer) else None
    return MOST if table is None else table.num_embeddings


def some_states(random: np.random.Generator, encoder: nn.Module, sizes: Mapping[str, int], N: int, T: int) -> Named:
    """States in which an encoder could be that still reads T steps."""
    found = {name: some_state(random, name.partition("_")[0], (N, size)) for name, size in sizes.items()}
    if "steps_l0" in found:
        found["steps_l0"] = np.minimum(found["steps_l0"], np.float32(longest(encoder) - T))
    return found


def turned(draw: Drawing, x: Value, lengths: Value) -> Value:
    """Each sequence of x (T, N, ...) turned round within its length."""
    return draw.put("ReverseSequence", x, lengths, time_axis=0, batch_axis=1)


def _recurrent(draw: Drawing, encoder: RecurrentEncoder, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = turned(draw, x, lengths) if encoder.reverse else x
    outputs, summary, states = run_layers(draw, encoder.recurrent, x, lengths, given, 0)
    outputs = turned(draw, outputs, lengths) if encoder.reverse else outputs
    return EncodedValues(outputs, lengths, summary, states)


def _awd(draw: Drawing, encoder: AWD, x: Value, lengths: Value, given: States) -> EncodedValues:
    states: dict[str, Value] = {}
    for k, layers in enumerate(encoder.recurrents):
        assert isinstance(layers, Recurrent)
        x, summary, after = run_layers(draw, layers, x, lengths, given, k)
        states |= after
    return EncodedValues(x, lengths, summary, states)


def _elmo(draw: Drawing, encoder: ELMo, x: Value, lengths: Value, given: States) -> EncodedValues:
    ahead, last = _layers(draw, encoder.ahead, x, lengths)
    behind, first = _layers(draw, encoder.behind, turned(draw, x, lengths), lengths)
    behind = [turned(draw, h, lengths) for h in behind]
    if encoder.with_inputs:
        x = draw.where(draw.spread(draw.sequence_mask(lengths, x), 2), x)
        ahead, behind = [x, *ahead], [x, *behind]
        last = [_last_real(draw, x, lengths), *last]
        first = [_last_real(draw, turned(draw, x, lengths), lengths), *first]
    shares = [float(share) for share in encoder.shares().detach()]
    return EncodedValues(_mixed(draw, shares, ahead, behind), lengths, _mixed(draw, shares, last, first), {})


def _layers(draw: Drawing, stack: nn.ModuleList, x: Value, lengths: Value) -> tuple[list[Value], list[Value]]:
    """The outputs of each layer (T, N, M), and what each ends with (N, M)."""
    outputs, ends = [], []
    for layer in stack:
        assert isinstance(layer, Recurrent)
        x, summary, _ = run_layers(draw, layer, x, lengths, {}, 0)
        outputs.append(x)
        ends.append(summary)
    return outputs, ends


def _mixed(draw: Drawing, shares: Sequence[float], ahead: Sequence[Value], behind: Sequence[Value]) -> Value:
    found: Value | None = None
    for share, *both in zip(shares, ahead, behind, strict=True):
        part = draw.put("Mul", draw.put("Concat", *both, axis=-1), draw.constant(share, np.float32))
        found = part if found is None else draw.put("Add", found, part)
    assert found is not None
    return found


def _convolutional(draw: Drawing, encoder: Convolutional, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = draw.one_more(x)  # so that there is one to run over where T is 0
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    x = draw.where(real, x)
    for k, (convolution, norm) in enumerate(zip(encoder.convolutions, encoder.norms, strict=True)):
        assert isinstance(convolution, nn.Conv1d)
        assert isinstance(norm, nn.LayerNorm)
        weight, bias = draw.weight(convolution.weight), draw.weight(_there(convolution.bias))
        (space,), (kernel,) = convolution.dilation, convolution.kernel_size
        pad = space * (kernel // 2)
        y = draw.put("Conv", draw.put("Transpose", x, perm=[1, 2, 0]), weight, bias, pads=[pad, pad], dilations=[space])
        y = draw.put("Transpose", y, perm=[2, 0, 1])
        y = draw.put("Relu", _normalized(draw, norm, y))
        x = draw.where(real, draw.put("Add", y, x) if k else y)
    x = draw.all_but_last(x)
    return EncodedValues(x, lengths, _last_real(draw, x, lengths), {})


def _dense(draw: Drawing, encoder: Dense, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = draw.where(draw.spread(draw.sequence_mask(lengths, x), 2), x)
    for layer, norm in zip(encoder.linears, encoder.norms, strict=True):
        assert isinstance(layer, nn.Linear)
        x = linear(draw, layer, x)
        x = _normalized(draw, norm, x) if isinstance(norm, nn.LayerNorm) else x
        x = draw.put(encoder.activation.capitalize(), x)  # Relu, Tanh, Sigmoid
    return EncodedValues(x, lengths, _last_real(draw, x, lengths), {})


def _pictures(draw: Drawing, encoder: Pictures, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = draw.where(draw.spread(draw.sequence_mask(lengths, x), 2), x)
    y, steps, rows = pictures(draw, encoder, x), draw.spread(draw.size(x, 0), 0), draw.spread(draw.size(x, 1), 0)
    (height, width), last = encoder.sizes[-1], draw.integers(encoder.channels[-1])
    if encoder.given == "flat":
        y = draw.put("Reshape", y, draw.join([steps, rows, draw.integers(encoder.output_size)], 0))
        return EncodedValues(y, lengths, _last_real(draw, y, lengths), {})
    if encoder.given == "mean":
        places = draw.put("Reshape", y, draw.join([steps, rows, draw.integers(height * width), last], 0))
        mean = draw.put("ReduceMean", places, axes=[2], keepdims=0)
        return EncodedValues(mean, lengths, _last_real(draw, mean, lengths), {})
    return _places(draw, y, x, lengths, height * width, encoder.channels[-1])


def _image(draw: Drawing, encoder: Image, x: Value, lengths: Value, given: States) -> EncodedValues:
    x = draw.where(draw.spread(draw.sequence_mask(lengths, x), 2), x)
    height, width = encoder.grid
    return _places(draw, residual(draw, encoder, x), x, lengths, height * width, encoder.output_size)


def _places(draw: Drawing, y: Value, x: Value, lengths: Value, count: int, channels: int) -> EncodedValues:
    """Places y (T N, ...) of each step of x (T, N, I) as steps of their own; the summary is the last one's mean."""
    steps, rows, last = draw.spread(draw.size(x, 0), 0), draw.spread(draw.size(x, 1), 0), draw.integers(channels)
    places = draw.put("Reshape", y, draw.join([steps, rows, draw.integers(count), last], 0))
    summary = _last_real(draw, draw.put("ReduceMean", places, axes=[2], keepdims=0), lengths)
    y = draw.put("Transpose", places, perm=[0, 2, 1, 3])
    y = draw.put("Reshape", y, draw.join([draw.integers(-1), rows, last], 0))
    return EncodedValues(y, draw.put("Mul", lengths, draw.constant(count, np.int64)), summary, {})


def _transformer(draw: Drawing, encoder: Transformer, x: Value, lengths: Value, given: States) -> EncodedValues:
    if encoder.causal:
        outputs, states = causal(draw, encoder, x, lengths, given)
        return EncodedValues(outputs, lengths, _last_real(draw, outputs, lengths), states)
    outputs, summary = transformer(draw, encoder, x, lengths)
    return EncodedValues(outputs, lengths, summary, {})


def _pretrained(draw: Drawing, encoder: Pretrained, x: Value, lengths: Value, given: States) -> EncodedValues:
    outputs, summary = pretrained(draw, encoder, x, lengths)
    return EncodedValues(outputs, lengths, summary, {})


def _chunked(draw: Drawing, encoder: Chunked, x: Value, lengths: Value, given: States) -> EncodedValues:
    outputs, _, _ = chunked(draw, encoder, x, lengths, {}, None)
    total = draw.put("ReduceSum", outputs, draw.integers(0), keepdims=0)
    count = draw.put("Max", draw.put("Cast", lengths, to=FLOAT), draw.constant(1.0))
    behind = draw.put("Sub", draw.size(x, 0), draw.size(outputs, 0))  # steps that are padding in every row
    outputs = draw.join([outputs, draw.zeros(behind, draw.size(x, 1), encoder.output_size)], 0)
    return EncodedValues(outputs, lengths, draw.put("Div", total, draw.spread(count, 1)), {})


def _identity(draw: Drawing, encoder: Identity, x: Value, lengths: Value, given: States) -> EncodedValues:
    if "h_l0" in given:  # as it was in a row without steps, in a piece without any too
        whole = draw.join([draw.spread(given["h_l0"], 0), x], 0)
        end = _last_real(draw, whole, draw.put("Add", lengths, draw.constant(1, np.int64)))
    else:
        end = _last_real(draw, x, lengths)
    return EncodedValues(x, lengths, end, {"h_l0": end})


def _normalized(draw: Drawing, norm: nn.LayerNorm, x: Value) -> Value:
    scale, shift = draw.weight(norm.weight), draw.weight(_there(norm.bias))
    return draw.put("LayerNormalization", x, scale, shift, axis=-1, epsilon=norm.eps)


def _last_real(draw: Drawing, x: Value, lengths: Value) -> Value:
    """(N, M): the last real step of x (T, N, M); zeros for a row without any."""
    x = draw.one_more(x)  # so that there is one to take where T is 0
    place = draw.put("Max", draw.put("Sub", lengths, draw.constant(1, np.int64)), draw.constant(0, np.int64))
    index = draw.put("Expand", draw.spread(place, 0, 2), draw.put("Concat", *_summary_shape(draw, x), axis=0))
    found = draw.put("Squeeze", draw.put("GatherElements", x, index, axis=0), draw.integers(0))
    return draw.where(draw.spread(draw.put("Greater", lengths, draw.constant(0, np.int64)), 1), found)


def _summary_shape(draw: Drawing, x: Value) -> tuple[Value, Value, Value]:
    """(1, N, M) as three values, of x (T, N, M)."""
    return draw.integers(1), draw.spread(draw.size(x, 1), 0), draw.spread(draw.size(x, 2), 0)


def _there(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor


def run_layers(
    draw: Drawing, layers: Recurrent, x: Value, lengths: Value, given: States, first: int
) -> tuple[Value, Value, dict[str, Value]]:
    """Recurrent layers over x (T, N, I): their outputs, what they know at the end, and the states by name.

    given: states before, by name; none: zeros      first: the number of the first layer
    """
    names = state_names(layers, first)
    before = tuple(draw.join([draw.spread(given[n], 0) for n in each], 0) for each in names.values()) if given else ()
    outputs, after = recurrent(draw, layers, x, lengths, before) if given else recurrent(draw, layers, x, lengths)
    pairs = zip(names.values(), after, strict=True)
    states = {name: draw.take(value, k, 0) for each, value in pairs for k, name in enumerate(each)}
    return outputs, last(draw, layers, after[0]), states


# The type of an encoder -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Value, Value, States], EncodedValues]] = {
    RecurrentEncoder: _recurrent,
    AWD: _awd,
    ELMo: _elmo,
    Convolutional: _convolutional,
    Dense: _dense,
    Pictures: _pictures,
    Image: _image,
    Identity: _identity,
    Transformer: _transformer,
    Chunked: _chunked,
    Pretrained: _pretrained,
}
