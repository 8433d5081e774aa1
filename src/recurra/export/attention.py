"""Attention of one decoder step as ONNX nodes: scores, regions, and several heads; as `recurra.nn.attention`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import LOWEST, linear
from recurra.export.onnx_graph import FLOAT, Drawing, Value
from recurra.nn.attention import Attends, Attention, MultiHead
from recurra.nn.attention.regions import Everywhere, Monotonic, Predictive
from recurra.nn.attention.scores import Additive, Concat, Dot, General, ScaledDot


@dataclass(frozen=True, slots=True)
class Source:
    """What attention looks at, as values. values: (N, T, M)   keys: (N, T, K)   lengths: (N,)   position: the step."""

    values: Value
    keys: Value
    lengths: Value
    position: Value


def prepare(draw: Drawing, module: Attends, outputs: Value, lengths: Value) -> tuple[Value, Value]:
    """Values and keys of a memory (T, N, M); as `Attention.prepare`."""
    real = draw.spread(draw.sequence_mask(lengths, outputs), 2)
    values = draw.put("Transpose", draw.where(real, outputs), perm=[1, 0, 2])
    if isinstance(module, MultiHead):
        return linear(draw, module.value, values), linear(draw, module.key, values)
    assert isinstance(module, Attention)
    match module.score:
        case General() | Additive():
            return values, linear(draw, module.score.key, values)
        case Concat():
            of_memory = module.score.joint.weight[:, module.score.sizes[0] :]
            return values, draw.put("MatMul", values, draw.weight(of_memory.T))
    return values, values


def key_size(module: Attends) -> int:
    """K, numbers in a key."""
    if isinstance(module, MultiHead):
        return module.query_size
    assert isinstance(module, Attention)
    match module.score:
        case General() | Additive():
            return module.score.key.out_features
        case Concat():
            return module.score.joint.out_features
    return module.context_size


def attend(draw: Drawing, module: Attends, query: Value, source: Source, coverage: Value | None) -> tuple[Value, Value]:
    """Context (N, M) and weights (N, T) of one step, by a query (N, Q); as `Attention.attend`."""
    query = draw.spread(query, 1)
    # (N, 1, T), True where there is nothing to attend to
    step = draw.spread(draw.steps(draw.size(source.keys, 1)), 0)
    hidden = draw.spread(draw.put("GreaterOrEqual", step, draw.spread(source.lengths, 1)), 1)
    if isinstance(module, MultiHead):
        context, weights = _heads(draw, module, query, source, hidden)
    else:
        assert isinstance(module, Attention)
        scores = _score(draw, module.score, query, source.keys, coverage)
        weights = _region(draw, module.region, scores, query, source, hidden)
        context = draw.put("MatMul", weights, source.values)
    one = draw.integers(1)
    return draw.put("Squeeze", context, one), draw.put("Squeeze", weights, one)


def softmax_where(draw: Drawing, scores: Value, hidden: Value) -> Value:
    """Softmax over the last axis of what is not hidden; zero there, and everywhere if all is."""
    weights = draw.put("Softmax", draw.where(hidden, draw.constant(LOWEST), scores), axis=-1)
    return draw.where(hidden, draw.constant(0.0), weights)


def _score(draw: Drawing, score: nn.Module, query: Value, keys: Value, coverage: Value | None) -> Value:
    """(N, 1, T) of a query (N, 1, Q) and keys (N, T, K)."""
    match score:
        case ScaledDot():
            return _product(draw, draw.put("Mul", query, draw.constant(score.scale)), keys)
        case Dot() | General():
            return _product(draw, query, keys)
        case Concat():
            of_query = score.joint.weight[:, : score.sizes[0]]
            return _energy(draw, draw.put("MatMul", query, draw.weight(of_query.T)), keys, score.energy)
        case Additive():
            if score.coverage is not None:
                assert coverage is not None
                keys = draw.put("Add", keys, linear(draw, score.coverage, draw.spread(coverage, 2)))
            return _energy(draw, linear(draw, score.query, query), keys, score.energy)
    raise ConfigError(f"export: there is no way to write the score {type(score).__name__} as ONNX.")


def _product(draw: Drawing, query: Value, keys: Value) -> Value:
    return draw.put("MatMul", query, draw.put("Transpose", keys, perm=[0, 2, 1]))


def _energy(draw: Drawing, query: Value, keys: Value, v: nn.Linear) -> Value:
    """v . tanh(q + k): (N, 1, A) and (N, T, A) to (N, 1, T)."""
    energy = linear(draw, v, draw.put("Tanh", draw.put("Add", query, keys)))
    return draw.put("Transpose", energy, perm=[0, 2, 1])


def _region(draw: Drawing, region: nn.Module, scores: Value, query: Value, source: Source, hidden: Value) -> Value:
    """Weights (N, 1, T) from scores."""
    if isinstance(region, Everywhere):
        return softmax_where(draw, scores, hidden)
    steps = draw.steps(draw.size(scores, 2))
    if isinstance(region, Monotonic):
        at_most = draw.put("Sub", source.lengths, draw.constant(1, np.int64))
        centre = draw.spread(draw.put("Min", source.position, at_most), 1, 2)
        distance = draw.put("Abs", draw.put("Sub", steps, centre))
        beyond = draw.put("Greater", distance, draw.constant(region.window, np.int64))
        return softmax_where(draw, scores, draw.put("Or", hidden, beyond))
    if isinstance(region, Predictive):
        return _predictive(draw, region, scores, query, source, hidden, steps)
    raise ConfigError(f"export: there is no way to write the region {type(region).__name__} as ONNX.")


def _predictive(
    draw: Drawing, region: Predictive, scores: Value, query: Value, source: Source, hidden: Value, steps: Value
) -> Value:
    share = draw.put(
        "Sigmoid", linear(draw, region.position, draw.put("Tanh", linear(draw, region.hidden, query)))
    )  # (N, 1, 1)
    lengths = draw.spread(draw.put("Cast", source.lengths, to=FLOAT), 1, 2)
    distance = draw.put("Sub", draw.put("Cast", steps, to=FLOAT), draw.put("Mul", lengths, share))
    window = draw.constant(region.window)
    hidden = draw.put("Or", hidden, draw.put("Greater", draw.put("Abs", distance), window))
    share = draw.put("Div", distance, window)
    gaussian = draw.put("Mul", draw.constant(-2.0), draw.put("Mul", share, share))
    if region.normalize:
        return softmax_where(draw, draw.put("Add", scores, gaussian), hidden)
    return draw.put("Mul", softmax_where(draw, scores, hidden), draw.put("Exp", gaussian))


def _heads(draw: Drawing, module: MultiHead, query: Value, source: Source, hidden: Value) -> tuple[Value, Value]:
    """Context (N, 1, Q) and the mean of all heads' weights (N, 1, T)."""
    width = module.query_size // module.num_heads

    def heads(x: Value) -> Value:
        shape = draw.integers(0, 0, module.num_heads, width)
        return draw.put("Transpose", draw.put("Reshape", x, shape), perm=[0, 2, 1, 3])

    q, k, v = heads(linear(draw, module.query, query)), heads(source.keys), heads(source.values)
    scaled = draw.put("Mul", q, draw.constant(1 / math.sqrt(width)))
    scores = draw.put("MatMul", scaled, draw.put("Transpose", k, perm=[0, 1, 3, 2]))
    weights = softmax_where(draw, scores, draw.spread(hidden, 1))
    joined = draw.put("Transpose", draw.put("MatMul", weights, v), perm=[0, 2, 1, 3])
    context = linear(draw, module.output, draw.put("Reshape", joined, draw.integers(0, 0, module.query_size)))
    return context, draw.put("ReduceMean", weights, axes=[1], keepdims=0)
