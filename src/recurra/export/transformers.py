"""A Transformer's encoder as ONNX, of steps that each see all; padded, as ONNX has no rows of several lengths."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import LOWEST, linear
from recurra.export.onnx_graph import FLOAT, INT64, Drawing, Value
from recurra.models.encoders import Pretrained, Transformer
from recurra.models.inputs import WordPieces
from recurra.nn.transformer import TransformerEncoderLayer
from recurra.nn.transformer.attention import SelfAttention
from recurra.nn.transformer.positions import frequencies


def transformer(draw: Drawing, encoder: Transformer, x: Value, lengths: Value) -> tuple[Value, Value]:
    """Outputs (T, N, M), zero where padded, and the summary (N, M). Raises ConfigError for a causal one."""
    if encoder.causal:
        raise ConfigError(
            "export: an encoder transformer with causal: true is not written as ONNX; a recurrent one is, or --torch."
        )
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    x = draw.where(real, x)
    x = linear(draw, encoder.project, x) if isinstance(encoder.project, nn.Linear) else x
    y = draw.put("Transpose", draw.put("Mul", x, draw.constant(encoder.places.scale)), perm=[1, 0, 2])  # (N, T, d)
    steps = draw.steps(draw.size(y, 1))
    y = _placed(draw, encoder, y, steps)
    mask = _mask(draw, real)
    for block in encoder.blocks:
        assert isinstance(block, TransformerEncoderLayer)
        y = _layer(draw, block, y, mask, steps)
    outputs = draw.where(real, draw.put("Transpose", normed(draw, encoder.norm, y), perm=[1, 0, 2]))
    count = draw.put("Max", draw.put("Cast", lengths, to=FLOAT), draw.constant(1.0))
    total = draw.put("ReduceSum", outputs, draw.integers(0), keepdims=0)
    return outputs, draw.put("Div", total, draw.spread(count, 1))


def pretrained(draw: Drawing, encoder: Pretrained, x: Value, lengths: Value) -> tuple[Value, Value]:
    """Outputs (T, N, M), zero where padded, and the summary (N, M), of the first step."""
    real = draw.spread(draw.sequence_mask(lengths, x), 2)
    y = draw.put("Transpose", draw.where(real, x), perm=[1, 0, 2])  # (N, T, d)
    steps, mask = draw.steps(draw.size(y, 1)), _mask(draw, real)
    for block in encoder.blocks:
        assert isinstance(block, TransformerEncoderLayer)
        y = _layer(draw, block, y, mask, steps)
    outputs = draw.where(real, draw.put("Transpose", y, perm=[1, 0, 2]))
    first = draw.take(outputs, 0, 0)
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


def _placed(draw: Drawing, encoder: Transformer, y: Value, steps: Value) -> Value:
    if encoder.positions == "sinusoid":
        sines, cosines = _angles(draw, steps, encoder.output_size)
        pairs = draw.join([draw.spread(sines, 2), draw.spread(cosines, 2)], 2)  # (T, d / 2, 2)
        shape = draw.join([draw.spread(draw.size(pairs, 0), 0), draw.integers(-1)], 0)
        flat = draw.put("Slice", draw.put("Reshape", pairs, shape), *map(draw.integers, (0, encoder.output_size, 1)))
        return draw.put("Add", y, flat)
    if encoder.places.table is not None:
        return draw.put(
            "Add", y, draw.put("Gather", draw.weight(encoder.places.table.weight, "positions"), steps, axis=0)
        )
    return y


def _angles(draw: Drawing, steps: Value, size: int) -> tuple[Value, Value]:
    """Sines and cosines (T, size / 2) of each position."""
    rates = draw.weight(frequencies(size, torch.device("cpu")).float(), "frequencies")
    angles = draw.put("Mul", draw.spread(draw.put("Cast", steps, to=FLOAT), 1), rates)
    return draw.put("Sin", angles), draw.put("Cos", angles)


def _layer(draw: Drawing, block: TransformerEncoderLayer, x: Value, mask: Value, steps: Value) -> Value:
    attention = block.self_attn
    if block.norm_first:
        x = draw.put("Add", x, _attended(draw, attention, normed(draw, block.norm1, x), mask, steps))
        return draw.put("Add", x, _fed_forward(draw, block, normed(draw, block.norm2, x)))
    x = normed(draw, block.norm1, draw.put("Add", x, _attended(draw, attention, x, mask, steps)))
    return normed(draw, block.norm2, draw.put("Add", x, _fed_forward(draw, block, x)))


def _attended(draw: Drawing, module: SelfAttention, x: Value, mask: Value, steps: Value) -> Value:
    """(N, T, d) of the same; mask: (N, 1, 1, T), of scores."""
    joint = draw.put("MatMul", x, draw.weight(module.in_proj_weight.T))
    if module.in_proj_bias is not None:
        joint = draw.put("Add", joint, draw.weight(module.in_proj_bias, "bias"))
    shape = draw.integers(0, 0, module.num_heads, module.head_dim)
    q, k, v = (
        draw.put("Transpose", draw.put("Reshape", part, shape), perm=[0, 2, 1, 3])
        for part in draw.puts("Split", [joint], 3, axis=2)
    )
    if module.rotary:
        sines, cosines = _angles(draw, steps, module.head_dim)
        q, k = (_turned(draw, part, sines, cosines) for part in (q, k))
    scores = draw.put("MatMul", q, draw.put("Transpose", k, perm=[0, 1, 3, 2]))
    scores = draw.put("Add", draw.put("Mul", scores, draw.constant(module.head_dim**-0.5)), mask)
    said = draw.put("Transpose", draw.put("MatMul", draw.put("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
    found: Value = linear(draw, module.out_proj, draw.put("Reshape", said, draw.integers(0, 0, module.embed_dim)))
    return found


def _turned(draw: Drawing, x: Value, sines: Value, cosines: Value) -> Value:
    a, b = draw.puts("Split", [x], 2, axis=3)
    first = draw.put("Sub", draw.put("Mul", a, cosines), draw.put("Mul", b, sines))
    return draw.join([first, draw.put("Add", draw.put("Mul", a, sines), draw.put("Mul", b, cosines))], 3)


def _fed_forward(draw: Drawing, block: TransformerEncoderLayer, x: Value) -> Value:
    y = linear(draw, block.linear1, x)
    if block.gated:
        a, b = draw.puts("Split", [y], 2, axis=2)
        y = draw.put("Mul", activated(draw, block.word, a), b)
    else:
        y = activated(draw, block.word, y)
    found: Value = linear(draw, block.linear2, y)
    return found


def activated(draw: Drawing, word: str, x: Value) -> Value:
    """relu and reglu, gelu and geglu by erf, gelu_tanh, silu and swiglu."""
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
        return draw.put("LayerNormalization", x, scale, draw.weight(norm.bias), axis=-1, epsilon=norm.eps)
    size = draw.put("ReduceMean", draw.put("Mul", x, x), axes=[-1])
    root = draw.put("Sqrt", draw.put("Add", size, draw.constant(norm.eps)))
    return draw.put("Mul", draw.put("Div", x, root), scale)
