"""Layers without time of their own as ONNX nodes: one function a kind of module, in a table by its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.onnx_graph import FLOAT, Drawing, Value
from recurra.export.recurrent import last, recurrent
from recurra.models.decoders import readout
from recurra.nn import Embedding, OneHot, characters, pool

Writer = Callable[..., Any]

# A module's type -> (drawing, module, its inputs as values) -> its outputs as values
WRITERS: dict[type[nn.Module], Writer] = {}

LOWEST = float(np.finfo(np.float32).min)


def writes(*kinds: type[nn.Module]) -> Callable[[Writer], Writer]:
    """Say which modules a function draws."""

    def register(writer: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(kinds, writer))
        return writer

    return register


def write(draw: Drawing, module: nn.Module, *values: Value | None) -> Any:
    """Draw a module; returns what its forward pass returns, as values. Raises ConfigError for one that is not known."""
    for kind in type(module).__mro__:
        if kind in WRITERS:
            return WRITERS[kind](draw, module, *values)
    raise ConfigError(
        f"export: there is no way to write a {type(module).__name__} as ONNX; known: "
        f"{', '.join(sorted({kind.__name__ for kind in WRITERS}))}."
    )


@writes(nn.Dropout, nn.Identity)
def _identity(draw: Drawing, module: nn.Module, x: Value) -> Value:
    return x


@writes(nn.Tanh)
def _tanh(draw: Drawing, module: nn.Tanh, x: Value) -> Value:
    return draw.put("Tanh", x)


@writes(nn.Linear)
def linear(draw: Drawing, module: nn.Linear, x: Value) -> Value:
    """x W^T + b."""
    product = draw.put("MatMul", x, draw.weight(module.weight.T))
    return product if module.bias is None else draw.put("Add", product, draw.weight(module.bias, "bias"))


# -- tokens to vectors -------------------------------------------------------------------------------------------------


@writes(Embedding, nn.Embedding)
def _embedding(draw: Drawing, module: Embedding | nn.Embedding, tokens: Value) -> Value:
    return draw.put("Gather", draw.weight(module.weight, "embedding"), tokens, axis=0)


@writes(OneHot)
def _one_hot(draw: Drawing, module: OneHot, tokens: Value) -> Value:
    # A number that is not in the table gives a row of zeros, which is what padding has.
    beyond = draw.constant(module.output_size, np.int64)
    is_padding = draw.put("Equal", tokens, draw.constant(0, np.int64))
    shown = draw.put("Where", is_padding, beyond, tokens)
    return draw.put("OneHot", shown, beyond, draw.constant([0.0, 1.0]), axis=-1)


@writes(characters.CharacterLSTM)
def _character_lstm(draw: Drawing, module: characters.CharacterLSTM, letters: Value, lengths: Value) -> Value:
    flat, each = _words(draw, letters, lengths)
    # One more word without letters, as there is none where T is 0, and ONNX Runtime ends the process over an LSTM
    # without rows.
    flat, each = draw.one_more(flat, axis=1, dtype=np.int64), draw.one_more(each, dtype=np.int64)
    _, states = recurrent(draw, module.recurrent, write(draw, module.embedding, flat), each)
    return _by_word(draw, draw.all_but_last(last(draw, module.recurrent, states[0])), lengths)


@writes(characters.CharacterCNN)
def _character_cnn(draw: Drawing, module: characters.CharacterCNN, letters: Value, lengths: Value) -> Value:
    flat, each = _words(draw, letters, lengths)
    # One more letter of padding, whose vector is zero like what stands beside a word: no step without letters.
    one = draw.put("Expand", draw.constant(0, np.int64), draw.join([draw.integers(1), draw.put("Shape", each)], 0))
    flat = draw.put("Concat", flat, one, axis=0)
    x = draw.put("Transpose", write(draw, module.embedding, flat), perm=[1, 2, 0])
    assert module.filters.bias is not None
    parameters = draw.weight(module.filters.weight, "filters"), draw.weight(module.filters.bias, "bias")
    scores = draw.put("Conv", x, *parameters, pads=[characters.WINDOW // 2] * 2)
    real = draw.spread(draw.put("Transpose", draw.sequence_mask(each, flat), perm=[1, 0]), 1)
    best = draw.put("ReduceMax", draw.where(real, scores, LOWEST), axes=[2], keepdims=0)
    return _by_word(draw, draw.where(_some(draw, each), draw.put("Tanh", best)), lengths)


@writes(characters.HighwayCNN)
def _highway_cnn(draw: Drawing, module: characters.HighwayCNN, letters: Value, lengths: Value) -> Value:
    flat, each = _words(draw, letters, lengths)
    flat, longer = _marked(draw, flat, each)
    x = draw.put("Transpose", write(draw, module.embedding, flat), perm=[1, 2, 0])
    real = draw.spread(draw.put("Transpose", draw.sequence_mask(longer, flat), perm=[1, 0]), 1)
    found = []
    for width, one in enumerate(module.filters, start=1):
        assert isinstance(one, nn.Conv1d)
        assert one.bias is not None
        parameters = draw.weight(one.weight, "filters"), draw.weight(one.bias, "bias")
        scores = draw.put("Conv", x, *parameters, pads=[0, width - 1])
        found.append(draw.put("ReduceMax", draw.where(real, scores, LOWEST), axes=[2], keepdims=0))
    y = draw.put("Relu", draw.put("Concat", *found, axis=1))
    for transform, gate in zip(module.transforms, module.gates, strict=True):
        carried = draw.put("Sigmoid", write(draw, gate, y))
        change = draw.put("Sub", draw.put("Relu", write(draw, transform, y)), y)
        y = draw.put("Add", y, draw.put("Mul", carried, change))
    return _by_word(draw, draw.where(_some(draw, each), write(draw, module.projection, y)), lengths)


def _marked(draw: Drawing, letters: Value, lengths: Value) -> tuple[Value, Value]:
    """As `characters.marked`."""
    one = draw.put("Expand", draw.constant(0, np.int64), draw.join([draw.integers(1), draw.put("Shape", lengths)], 0))
    found = draw.put("Concat", one, letters, one, axis=0)
    step = draw.spread(draw.steps(draw.size(found, 0)), 1)
    end = draw.put("Equal", step, draw.put("Add", lengths, draw.constant(1, np.int64)))
    found = draw.put("Where", end, draw.constant(characters.END, np.int64), found)
    begin = draw.put("Equal", step, draw.constant(0, np.int64))
    found = draw.put("Where", begin, draw.constant(characters.BEGIN, np.int64), found)
    return found, draw.put("Add", lengths, draw.constant(2, np.int64))


def _words(draw: Drawing, letters: Value, lengths: Value) -> tuple[Value, Value]:
    """Letters (C, T * N) with padding as token 0, and the words' lengths (T * N,), of (C, T, N) and (T, N)."""
    each = draw.put("Reshape", lengths, draw.integers(-1))
    shape = draw.join([draw.spread(draw.size(letters, 0), 0), draw.put("Shape", each)], 0)
    flat = draw.put("Reshape", letters, shape, allowzero=1)
    return clean(draw, flat, each), each


def _by_word(draw: Drawing, vectors: Value, lengths: Value) -> Value:
    """(T * N, F) -> (T, N, F)."""
    shape = draw.join([draw.put("Shape", lengths), draw.spread(draw.size(vectors, 1), 0)], 0)
    return draw.put("Reshape", vectors, shape, allowzero=1)


def clean(draw: Drawing, tokens: Value, lengths: Value) -> Value:
    """Tokens (T, N) with padding as token 0, whatever stood there."""
    return draw.put("Where", draw.sequence_mask(lengths, tokens), tokens, draw.constant(0, np.int64))


# -- a sequence to one vector: outputs (T, N, F), last (N, F), lengths (N,) -> (N, F) ----------------------------------


def _some(draw: Drawing, lengths: Value) -> Value:
    """(N, 1) bool, True where a sequence is not empty."""
    return draw.spread(draw.put("Greater", lengths, draw.constant(0, np.int64)), 1)


def _real(draw: Drawing, outputs: Value, lengths: Value) -> Value:
    """(T, N, 1) bool."""
    return draw.spread(draw.sequence_mask(lengths, outputs), 2)


@writes(pool.Last)
def _last(draw: Drawing, module: pool.Last, outputs: Value, final: Value, lengths: Value) -> Value:
    return draw.where(_some(draw, lengths), final)


@writes(pool.Mean)
def _mean(draw: Drawing, module: pool.Mean, outputs: Value, final: Value, lengths: Value) -> Value:
    return mean(draw, outputs, lengths)


def mean(draw: Drawing, outputs: Value, lengths: Value) -> Value:
    """The mean over real steps, zero for an empty sequence."""
    total = draw.put("ReduceSum", draw.where(_real(draw, outputs, lengths), outputs), draw.integers(0), keepdims=0)
    count = draw.put("Max", lengths, draw.constant(1, np.int64))
    return draw.put("Div", total, draw.spread(draw.put("Cast", count, to=FLOAT), 1))


@writes(pool.Max)
def _max(draw: Drawing, module: pool.Max, outputs: Value, final: Value, lengths: Value) -> Value:
    real = draw.where(_real(draw, outputs, lengths), outputs, LOWEST)
    # One more step, so that there is one to take the maximum of where T is 0.
    zeros = draw.zeros(draw.size(outputs, 1), draw.size(outputs, 2))
    lowest = draw.spread(draw.put("Add", zeros, draw.constant(LOWEST)), 0)
    best = draw.put("ReduceMax", draw.put("Concat", real, lowest, axis=0), axes=[0], keepdims=0)
    return draw.where(_some(draw, lengths), best)


@writes(pool.Concat)
def _concat(draw: Drawing, module: pool.Concat, outputs: Value, final: Value, lengths: Value) -> Value:
    return draw.put("Concat", *[write(draw, part, outputs, final, lengths) for part in module.parts], axis=1)


@writes(pool.Attention)
def _attention(draw: Drawing, module: pool.Attention, outputs: Value, final: Value, lengths: Value) -> Value:
    real = _real(draw, outputs, lengths)
    values = draw.where(real, outputs)
    scores = linear(draw, module.query, draw.put("Tanh", linear(draw, module.hidden, values)))
    weights = draw.where(real, draw.put("Softmax", draw.where(real, scores, LOWEST), axis=0))
    return draw.put("ReduceSum", draw.put("Mul", weights, values), draw.integers(0), keepdims=0)


# -- what a decoder's output layer reads: h, x, context ----------------------------------------------------------------


@writes(readout.State)
def _state(draw: Drawing, module: readout.State, h: Value, x: Value, context: Value | None) -> Value:
    return h


@writes(readout.Tanh)
def _tanh_readout(draw: Drawing, module: readout.Tanh, h: Value, x: Value, context: Value) -> Value:
    return draw.put("Tanh", linear(draw, module.joint, draw.put("Concat", context, h, axis=-1)))


@writes(readout.Maxout)
def _maxout(draw: Drawing, module: readout.Maxout, h: Value, x: Value, context: Value) -> Value:
    joint = linear(draw, module.joint, draw.put("Concat", h, x, context, axis=-1))
    return draw.put("Max", *draw.puts("Split", [joint], 2, axis=-1))
