"""Layers of attention as ONNX; padded, as ONNX has no rows of several lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import LOWEST, linear
from recurra.export.onnx_graph import DOUBLE, FLOAT, INT64, Drawing, Value
from recurra.models.encoders import Pretrained, Transformer
from recurra.models.inputs import WordPieces
from recurra.nn.transformer import TransformerDecoderLayer, TransformerEncoderLayer
from recurra.nn.transformer.attention import CrossAttention, SelfAttention
from recurra.nn.transformer.layers import ACTIVATIONS, FUNCTIONS, of_kind
from recurra.nn.transformer.positions import Places, frequencies

Layer = TransformerEncoderLayer | TransformerDecoderLayer


@dataclass(frozen=True, slots=True)
class Sees:
    """What each step of a layer attends to.

    mask: what is added to scores (N, heads, T, S)      queries, keys: (T,), (S,) where they stand, for rotation
    """

    mask: Value
    queries: Value
    keys: Value


def transformer(draw: Drawing, encoder: Transformer, x: Value, lengths: Value) -> tuple[Value, Value]:
    """Outputs (T, N, M), zero where padded, and the summary (N, M), of steps that see all."""
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    steps = draw.steps(draw.size(x, 0))
    y = _entered(draw, encoder, draw.where(real, x), draw.spread(steps, 0))
    for block in _blocks(encoder):
        y, _ = _layer(draw, block, y, Sees(_mask(draw, real), steps, steps), None)
    outputs = _left(draw, encoder, y, real)
    count = draw.put("Max", draw.put("Cast", lengths, to=FLOAT), draw.constant(1.0))
    total = draw.put("ReduceSum", outputs, draw.integers(0), keepdims=0)
    return outputs, draw.put("Div", total, draw.spread(count, 1))


def causal(
    draw: Drawing, encoder: Transformer, x: Value, lengths: Value, given: Mapping[str, Value]
) -> tuple[Value, dict[str, Value]]:
    """Outputs (T, N, M), zero where padded, and with states the states after them, of steps that see what was before.

    given: "steps_l0" (N, 1), and (N, W d) keys and values of each layer, the last of which are known; or nothing
    """
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    steps, room = draw.steps(draw.size(x, 0)), encoder.window if given else 0
    before = draw.put("Cast", given["steps_l0"], to=INT64) if given else draw.integers(0)  # (N, 1) or (1,)
    y = _entered(draw, encoder, draw.where(real, x), draw.put("Add", before, draw.spread(steps, 0)))
    queries = draw.put("Add", steps, draw.constant(room, np.int64))
    keys = draw.steps(draw.put("Add", draw.size(x, 0), draw.constant(room, np.int64)))
    sees = Sees(_hidden(draw, encoder.window, queries, keys, before if given else None), queries, keys)
    after: dict[str, Value] = {}
    for k, block in enumerate(_blocks(encoder)):
        shape = draw.integers(0, encoder.window, encoder.output_size)
        cache = [draw.put("Reshape", given[f"{name}_l{k}"], shape) for name in "kv"] if given else None
        y, pair = _layer(draw, block, y, sees, cache)
        after |= {f"{n}_l{k}": _kept(draw, encoder, one, lengths) for n, one in zip("kv", pair, strict=True) if given}
    if given:
        after["steps_l0"] = draw.put("Add", given["steps_l0"], draw.put("Cast", draw.spread(lengths, 1), to=FLOAT))
    return _left(draw, encoder, y, real), after


def _kept(draw: Drawing, encoder: Transformer, rows: Value, lengths: Value) -> Value:
    """(N, W d): of W + T steps those from the length on, as many as the window has."""
    places = draw.put("Add", draw.spread(lengths, 1), draw.steps(draw.constant(encoder.window, np.int64)))
    found = draw.put("GatherND", rows, draw.spread(places, 2), batch_dims=1)
    return draw.put("Reshape", found, draw.integers(0, encoder.window * encoder.output_size))


def through_all(
    draw: Drawing, places: Places, blocks: Iterable[nn.Module], norm: nn.Module, x: Value, real: Value
) -> Value:
    """(T, N, d) of x (T, N, d) and its positions, through layers in which all real steps see one another."""
    steps = draw.steps(draw.size(x, 0))
    y = placed(draw, places, draw.put("Transpose", x, perm=[1, 0, 2]), draw.spread(steps, 0))
    for block in of_kind(TransformerEncoderLayer, blocks):
        y, _ = _layer(draw, block, y, Sees(_mask(draw, real), steps, steps), None)
    return draw.put("Transpose", normed(draw, norm, y), perm=[1, 0, 2])


def _entered(draw: Drawing, encoder: Transformer, x: Value, at: Value) -> Value:
    """(N, T, d) of x (T, N, I), whose steps stand at `at` (N or 1, T)."""
    x = linear(draw, encoder.project, x) if isinstance(encoder.project, nn.Linear) else x
    return placed(draw, encoder.places, draw.put("Transpose", x, perm=[1, 0, 2]), at)


def _left(draw: Drawing, encoder: Transformer, y: Value, real: Value) -> Value:
    """(T, N, d), zero where padded, of (N, T, d)."""
    return draw.where(real, draw.put("Transpose", normed(draw, encoder.norm, y), perm=[1, 0, 2]))


def _blocks(encoder: Transformer | Pretrained) -> list[TransformerEncoderLayer]:
    return of_kind(TransformerEncoderLayer, encoder.blocks)


def _hidden(draw: Drawing, window: int, queries: Value, keys: Value, before: Value | None) -> Value:
    """(N or 1, 1, T, S), what is added to scores. queries: (T,), keys: (S,) places; before: (N, 1) steps that are known

    A query sees itself and what is before it in its window; of the places in front of the first new step the last.
    """
    at = draw.spread(queries, 1)
    first = draw.put("Sub", at, draw.constant(window, np.int64))
    hidden = draw.put("Or", draw.put("Greater", keys, at), draw.put("LessOrEqual", keys, first))  # (T, S)
    hidden = draw.spread(hidden, 0, 1)
    if before is not None:
        unknown = draw.put("Less", keys, draw.put("Sub", draw.constant(window, np.int64), before))  # (N, S)
        hidden = draw.put("Or", hidden, draw.spread(unknown, 1, 2))
    return draw.put("Mul", draw.put("Cast", hidden, to=FLOAT), draw.constant(LOWEST))


def pretrained(draw: Drawing, encoder: Pretrained, x: Value, lengths: Value) -> tuple[Value, Value]:
    """Outputs (T, N, M), zero where padded, and the summary (N, M), of the first step."""
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    y = draw.put("Transpose", draw.where(real, x), perm=[1, 0, 2])  # (N, T, d)
    steps = draw.steps(draw.size(y, 1))
    for block in _blocks(encoder):
        y, _ = _layer(draw, block, y, Sees(_mask(draw, real), steps, steps), None)
    outputs = draw.where(real, draw.put("Transpose", y, perm=[1, 0, 2]))
    first = draw.take(draw.one_more(outputs), 0, 0)  # zeros where T is 0
    if encoder.pooler is None:
        return outputs, first
    return outputs, draw.put("Tanh", linear(draw, encoder.pooler, first))


def word_pieces(draw: Drawing, inputs: WordPieces, tokens: Value) -> Value:
    """x (T, N, d) of the vocabulary's numbers (T, N)."""
    number = draw.constant(4, np.int64)
    known = draw.put("GreaterOrEqual", tokens, number)
    unknown = draw.constant(inputs.unknown, np.int64)
    pieces = draw.put("Where", known, draw.put("Sub", tokens, number), unknown)
    x = draw.put("Gather", draw.weight(inputs.words.weight, "pieces"), pieces, axis=0)
    at = draw.put("Add", draw.steps(draw.size(tokens, 0)), draw.constant(inputs.first, np.int64))
    placed = draw.put("Gather", draw.weight(inputs.positions.weight, "positions"), at, axis=0)
    x = draw.put("Add", x, draw.spread(placed, 1))
    if inputs.segments is not None:
        ends = draw.put("Equal", pieces, draw.constant(inputs.separator, np.int64))
        before = draw.put("CumSum", draw.put("Cast", ends, to=INT64), draw.constant(0, np.int64), exclusive=1)
        last = draw.constant(inputs.segments.num_embeddings - 1, np.int64)
        segments = draw.weight(inputs.segments.weight, "segments")
        x = draw.put("Add", x, draw.put("Gather", segments, draw.put("Min", before, last), axis=0))
    return normed(draw, inputs.norm, x)


def _mask(draw: Drawing, real: Value) -> Value:
    """(N, 1, 1, T), what is added to scores, of (T, N, 1)."""
    hidden = draw.put("Transpose", draw.put("Not", real), perm=[1, 2, 0])  # (N, 1, T)
    return draw.spread(draw.put("Mul", draw.put("Cast", hidden, to=FLOAT), draw.constant(LOWEST)), 1)


def placed(draw: Drawing, places: Places, x: Value, at: Value) -> Value:
    """(N, T, d) with its positions, as `Places`. at: (N or 1, T), where its steps stand"""
    x = draw.put("Mul", x, draw.constant(places.scale))
    if places.positions == "sinusoid":
        pairs = draw.join([draw.spread(part, -1) for part in _angles(draw, at, places.size)], -1)
        even = draw.put("Reshape", pairs, draw.integers(0, 0, places.size + places.size % 2))
        return draw.put("Add", x, draw.put("Slice", even, *map(draw.integers, (0, places.size, 2))))
    if places.table is None:
        return x
    return draw.put("Add", x, draw.put("Gather", draw.weight(places.table.weight, "positions"), at, axis=0))


def _angles(draw: Drawing, steps: Value, size: int) -> tuple[Value, Value]:
    """Sines and cosines (..., size / 2) of each position (...)."""
    rates = draw.constant(frequencies(size, torch.device("cpu")).numpy(), np.float64)
    # Turns are left out in float64: a thousand steps on, an angle of float32 is wrong in the fifth digit.
    angles = draw.put("Mul", draw.spread(draw.put("Cast", steps, to=DOUBLE), -1), rates)
    rest = draw.put("Mod", angles, draw.constant(2 * np.pi, np.float64), fmod=1)
    rest = draw.put("Cast", rest, to=FLOAT)
    return draw.put("Sin", rest), draw.put("Cos", rest)


def _layer(
    draw: Drawing, block: TransformerEncoderLayer, x: Value, sees: Sees, cache: Sequence[Value] | None
) -> tuple[Value, list[Value]]:
    """(N, T, d) of the same, and its keys and values (N, S, d), those in front of it too."""
    said, pair = _attended(draw, block.self_attn, normed_first(draw, block, block.norm1, x), sees, cache)
    x = added(draw, block, block.norm1, x, said)
    return added(draw, block, block.norm2, x, fed_forward(draw, block, normed_first(draw, block, block.norm2, x))), pair


def normed_first(draw: Drawing, block: Layer, norm: nn.Module, x: Value) -> Value:
    """What a part of a layer reads."""
    return normed(draw, norm, x) if block.norm_first else x


def added(draw: Drawing, block: Layer, norm: nn.Module, x: Value, said: Value) -> Value:
    """What it says, added to what it has read."""
    y = draw.put("Add", x, said)
    return y if block.norm_first else normed(draw, norm, y)


def _attended(
    draw: Drawing, module: SelfAttention, x: Value, sees: Sees, cache: Sequence[Value] | None
) -> tuple[Value, list[Value]]:
    """(N, T, d) of the same, and keys and values (N, S, d)."""
    q, *pair = draw.puts("Split", [mapped(draw, module, x, slice(None))], 3, axis=2)
    if cache is not None:
        pair = [draw.join(both, 1) for both in zip(cache, pair, strict=True)]
    q, k, v = (heads(draw, module, part) for part in (q, *pair))
    if module.rotary:
        q, k = rotated(draw, module, q, sees.queries), rotated(draw, module, k, sees.keys)
    scores = draw.put("Add", scored(draw, module, q, k), sees.mask)
    return mixed(draw, module, draw.put("Softmax", scores, axis=-1), v), pair


def mapped(draw: Drawing, module: SelfAttention | CrossAttention, x: Value, which: slice) -> Value:
    """x through a part of what makes queries, keys and values."""
    joint = draw.put("MatMul", x, draw.weight(module.in_proj_weight[which].T))
    if module.in_proj_bias is None:
        return joint
    return draw.put("Add", joint, draw.weight(module.in_proj_bias[which], "bias"))


def heads(draw: Drawing, module: SelfAttention | CrossAttention, x: Value) -> Value:
    """(N, heads, T, size) of (N, T, d)."""
    shape = draw.integers(0, 0, module.num_heads, module.head_dim)
    return draw.put("Transpose", draw.put("Reshape", x, shape), perm=[0, 2, 1, 3])


def scored(draw: Drawing, module: SelfAttention | CrossAttention, q: Value, k: Value) -> Value:
    """(N, heads, T, S) of queries and keys (N, heads, ..., size)."""
    scores = draw.put("MatMul", q, draw.put("Transpose", k, perm=[0, 1, 3, 2]))
    return draw.put("Mul", scores, draw.constant(module.head_dim**-0.5))


def mixed(draw: Drawing, module: SelfAttention | CrossAttention, weights: Value, v: Value) -> Value:
    """(N, T, d) of weights (N, heads, T, S) and values (N, heads, S, size)."""
    said = draw.put("Transpose", draw.put("MatMul", weights, v), perm=[0, 2, 1, 3])
    found: Value = linear(draw, module.out_proj, draw.put("Reshape", said, draw.integers(0, 0, module.embed_dim)))
    return found


def rotated(draw: Drawing, module: SelfAttention, x: Value, at: Value) -> Value:
    """(N, heads, T, size) turned by where its steps stand, `at` (T,)."""
    sines, cosines = _angles(draw, at, module.head_dim)
    a, b = draw.puts("Split", [x], 2, axis=3)
    first = draw.put("Sub", draw.put("Mul", a, cosines), draw.put("Mul", b, sines))
    return draw.join([first, draw.put("Add", draw.put("Mul", a, sines), draw.put("Mul", b, cosines))], 3)


def fed_forward(draw: Drawing, block: Layer, x: Value) -> Value:
    """As `recurra.nn.transformer.layers.fed_forward`."""
    y = linear(draw, block.linear1, x)
    if block.gated:
        a, b = draw.puts("Split", [y], 2, axis=2)
        y = draw.put("Mul", activated(draw, block.word, a), b)
    else:
        known = (word for word, function in FUNCTIONS.items() if function is block.activation)
        y = activated(draw, block.word or next(known, ""), y)
    found: Value = linear(draw, block.linear2, y)
    return found


def activated(draw: Drawing, word: str, x: Value) -> Value:
    """relu and reglu, gelu and geglu by erf, gelu_tanh, silu and swiglu. Raises ConfigError for another function."""
    if word not in ACTIVATIONS:
        raise ConfigError(
            "export: there is no way to write an activation that is a function of Python as ONNX; give it by its word: "
            f"{', '.join(ACTIVATIONS)}."
        )
    if word in ("relu", "reglu"):
        return draw.put("Relu", x)
    if word in ("silu", "swiglu"):
        return draw.put("Mul", x, draw.put("Sigmoid", x))
    if word == "gelu_tanh":
        cube = draw.put("Mul", draw.put("Mul", x, x), x)
        inner = draw.put("Add", x, draw.put("Mul", cube, draw.constant(0.044715)))
        weight = draw.put("Tanh", draw.put("Mul", inner, draw.constant(float(np.sqrt(2 / np.pi)))))
    else:
        weight = draw.put("Erf", draw.put("Mul", x, draw.constant(float(np.sqrt(0.5)))))
    half = draw.put("Mul", x, draw.constant(0.5))
    return draw.put("Mul", half, draw.put("Add", weight, draw.constant(1.0)))


def normed(draw: Drawing, norm: nn.Module, x: Value) -> Value:
    if isinstance(norm, nn.Identity):
        return x
    assert isinstance(norm, nn.LayerNorm | nn.RMSNorm)
    assert norm.eps is not None
    scale = draw.weight(norm.weight)
    if isinstance(norm, nn.LayerNorm):
        shift = [] if norm.bias is None else [draw.weight(norm.bias)]
        return draw.put("LayerNormalization", x, scale, *shift, axis=-1, epsilon=norm.eps)
    size = draw.put("ReduceMean", draw.put("Mul", x, x), axes=[-1])
    root = draw.put("Sqrt", draw.put("Add", size, draw.constant(norm.eps)))
    return draw.put("Mul", draw.put("Div", x, root), scale)
