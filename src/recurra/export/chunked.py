"""Attention in chunks as ONNX: chunks stand one behind the other where rows stand elsewhere, each with copies of the
steps behind it, and pieces of any size go in as `recurra.models.encoders.chunked` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from recurra.export.layers import LOWEST, linear
from recurra.export.onnx_graph import FLOAT, INT64, Drawing, Value
from recurra.export.parts import Named, random_numbers
from recurra.export.transformers import (
    added,
    fed_forward,
    heads,
    mapped,
    mixed,
    normed,
    normed_first,
    placed,
    rotated,
    scored,
)
from recurra.models.encoders import Chunked
from recurra.models.encoders.chunked import NUMBER, STEPS, WAITING
from recurra.nn.transformer import TransformerEncoderLayer
from recurra.nn.transformer.attention import SelfAttention


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the steps of a piece and of those that waited for it stand: N rows of B chunks of C + A steps.

    read: (N, P, I) room for those that waited, the new ones, and zeros      known: (N, 1) how many waited
    gap: (N, 1) places of that room behind them      there: (N,) steps, those that waited too      said: (N,) of how
    many something is said      number: B, without axes      before: (N, 1) steps of which something was said earlier
    Without states `known`, `gap` and `before` are (1,).
    """

    read: Value
    known: Value
    gap: Value
    there: Value
    said: Value
    number: Value
    before: Value


def chunked(
    draw: Drawing, encoder: Chunked, x: Value, lengths: Value, given: Mapping[str, Value], last: Value | None
) -> tuple[Value, Value, dict[str, Value]]:
    """Outputs (S, N, M), zero where padded, of how many steps of each row they are (N,), and the states after them.

    given: the states before, as `state_shapes` has them; nothing: zeros
    last: (N,) 1 where nothing comes after this piece; None: so it is everywhere, and no states are needed
    """
    cut = _cut(draw, encoder, x, lengths, given, last)
    C, A, _ = _sizes(encoder)
    at = draw.spread(_steps_of_chunks(draw, cut, C, A), 0)  # (1, B (C + A))
    y = draw.put("Reshape", _picked(draw, cut, at), draw.integers(-1, C + A, encoder.input_size))
    y = linear(draw, encoder.project, y) if isinstance(encoder.project, nn.Linear) else y
    places = draw.put("Reshape", draw.put("Add", at, cut.before), draw.integers(-1, C + A))
    y = placed(draw, encoder.places, y, places)
    after: dict[str, Value] = {}
    mask = _mask(draw, encoder, cut)
    for k, block in enumerate(encoder.blocks):
        assert isinstance(block, TransformerEncoderLayer)
        old = [given[f"{name}_l{k}"] for name in "kv"] if encoder.chunks.left and given else None
        y, kept = _layer(draw, encoder, block, y, cut, mask, old)
        after |= {f"{name}_l{k}": one for name, one in zip("kv", kept, strict=True)} if kept else {}
    own = _own(draw, cut, normed(draw, encoder.norm, y), C)
    most = draw.put("ReduceMax", cut.said, axes=[0], keepdims=1)
    outputs = draw.put("Transpose", draw.put("Slice", own, draw.integers(0), most, draw.integers(1)), perm=[1, 0, 2])
    outputs = draw.where(draw.spread(draw.sequence_mask(cut.said, outputs), 2), outputs)
    return outputs, cut.said, after | _waiting(draw, encoder, cut) if last is not None else {}


def state_shapes(encoder: Chunked) -> dict[str, int]:
    """The states of a file, (N, width) each; what would have no width is left out."""
    left, waits = encoder.chunks.left * encoder.output_size, encoder.waits * encoder.input_size
    kept = {f"{name}_l{k}": left for k in range(len(encoder.blocks)) for name in "kv"} if left else {}
    return kept | ({WAITING: waits, NUMBER: 1} if waits else {}) | {STEPS: 1}


def some_states(random: np.random.Generator, encoder: Chunked, N: int) -> Named:
    """States in which it could be: of the first row all wait that can, beyond those that wait there is rubbish."""
    found = {name: random_numbers(random, N, size) for name, size in state_shapes(encoder).items()}
    found[STEPS] = random.integers(0, 3 * (encoder.chunks.left + 1), (N, 1)).astype(np.float32)
    if encoder.waits:
        number = random.integers(0, encoder.waits + 1, N)
        number[0] = encoder.waits
        rest = np.arange(encoder.waits) >= number[:, None]
        found[NUMBER] = number[:, None].astype(np.float32)
        found[WAITING][np.repeat(rest, encoder.input_size, 1)] = np.nan
    return found


def _sizes(encoder: Chunked) -> tuple[int, int, int]:
    return encoder.chunks.steps, encoder.chunks.ahead, encoder.chunks.left


def _cut(
    draw: Drawing, encoder: Chunked, x: Value, lengths: Value, given: Mapping[str, Value], last: Value | None
) -> Cut:
    """The steps that waited and the new ones, one behind the other."""
    C, A, _ = _sizes(encoder)
    steps, there, known = draw.put("Transpose", x, perm=[1, 0, 2]), lengths, draw.integers(0)
    N, nothing, waits = draw.size(x, 1), draw.constant(0, np.int64), encoder.waits if last is not None else 0
    if waits:
        known = draw.put("Cast", given[NUMBER], to=INT64)
        there = draw.put("Add", lengths, draw.put("Squeeze", known, draw.integers(1)))
        steps = draw.join([draw.put("Reshape", given[WAITING], draw.integers(0, waits, encoder.input_size)), steps], 1)
    said = there
    if last is not None:
        size = draw.constant(C, np.int64)
        ready = draw.put("Max", draw.put("Sub", there, draw.constant(A, np.int64)), nothing)
        ready = draw.put("Mul", draw.put("Div", ready, size), size)
        said = draw.put("Where", draw.put("Greater", last, nothing), there, ready)
    most = draw.put("ReduceMax", said, axes=[0], keepdims=0)
    number = draw.put("Div", draw.put("Add", most, draw.constant(C - 1, np.int64)), draw.constant(C, np.int64))
    before = draw.put("Cast", given[STEPS], to=INT64) if last is not None else draw.integers(0)
    read = draw.join([steps, draw.zeros(N, 1, encoder.input_size)], 1)
    gap = draw.put("Sub", draw.constant(waits, np.int64), known)
    return Cut(read, known, gap, there, said, number, before)


def _steps_of_chunks(draw: Drawing, cut: Cut, steps: int, more: int) -> Value:
    """(B (steps + more),): b C + i of each chunk b and each of its places i."""
    C, first = draw.constant(steps, np.int64), draw.steps(cut.number)
    places = draw.constant(range(steps + more), np.int64)
    both = draw.put("Add", draw.spread(draw.put("Mul", first, C), 1), places)
    return draw.put("Reshape", both, draw.integers(-1))


def _picked(draw: Drawing, cut: Cut, steps: Value) -> Value:
    """(N, Q, I): the steps (N or 1, Q), zero where there is none."""
    end = draw.put("Sub", draw.size(cut.read, 1), draw.constant(1, np.int64))  # where the zeros stand
    place = draw.put("Where", draw.put("Less", steps, cut.known), steps, draw.put("Add", steps, cut.gap))
    place = draw.put("Where", draw.put("Less", steps, draw.spread(cut.there, 1)), place, end)
    return draw.put("GatherND", cut.read, draw.spread(place, 2), batch_dims=1)


def _mask(draw: Drawing, encoder: Chunked, cut: Cut) -> Value:
    """(N B, 1, 1, left + C + A), what is added to scores: seen are steps before that were said, and those there."""
    C, A, left = _sizes(encoder)
    first = draw.put("Mul", draw.steps(cut.number), draw.constant(C, np.int64))  # (B,)
    steps = draw.put("Add", draw.spread(first, 1), draw.constant(range(-left, C + A), np.int64))  # (B, K)
    steps = draw.spread(steps, 0)
    unknown = draw.put("Less", draw.put("Add", steps, draw.spread(cut.before, -1)), draw.constant(0, np.int64))
    beyond = draw.put("GreaterOrEqual", steps, draw.spread(cut.there, 1, 2))
    hidden = draw.put("Reshape", draw.put("Or", unknown, beyond), draw.integers(-1, 1, 1, left + C + A))
    return draw.put("Mul", draw.put("Cast", hidden, to=FLOAT), draw.constant(LOWEST))


def _layer(
    draw: Drawing,
    encoder: Chunked,
    block: TransformerEncoderLayer,
    x: Value,
    cut: Cut,
    mask: Value,
    old: list[Value] | None,
) -> tuple[Value, list[Value]]:
    """(N B, C + A, d) of the same, and keys and values that later steps see, (N, left d) each; old: those of before."""
    C, A, left = _sizes(encoder)
    attention = block.self_attn
    q, *pair = draw.puts(
        "Split", [mapped(draw, attention, normed_first(draw, block, block.norm1, x), slice(None))], 3, axis=2
    )
    kept: list[Value] = []
    if left:
        seen = [_behind(draw, encoder, cut, one, old[k] if old else None) for k, one in enumerate(pair)]
        pair = [draw.join([_windows(draw, encoder, cut, one), own], 1) for one, own in zip(seen, pair, strict=True)]
        kept = [_kept(draw, encoder, cut, one) for one in seen]
    said = _attended(draw, attention, q, pair, mask, left, C + A)
    x = added(draw, block, block.norm1, x, said)
    return added(draw, block, block.norm2, x, fed_forward(draw, block, normed_first(draw, block, block.norm2, x))), kept


def _attended(
    draw: Drawing, attention: SelfAttention, q: Value, pair: list[Value], mask: Value, left: int, own: int
) -> Value:
    q, k, v = (heads(draw, attention, part) for part in (q, *pair))
    if attention.rotary:
        q = rotated(draw, attention, q, draw.constant(range(left, left + own), np.int64))
        k = rotated(draw, attention, k, draw.constant(range(left + own), np.int64))
    weights = draw.put("Softmax", draw.put("Add", scored(draw, attention, q, k), mask), axis=-1)
    return mixed(draw, attention, weights, v)


def _own(draw: Drawing, cut: Cut, x: Value, steps: int) -> Value:
    """(N, B C, d) of (N B, C + A, d): the steps that are no copies of later ones."""
    own = draw.put("Slice", x, draw.integers(0), draw.integers(steps), draw.integers(1))
    shape = draw.join([draw.spread(draw.size(cut.read, 0), 0), draw.integers(-1), draw.spread(draw.size(x, 2), 0)], 0)
    return draw.put("Reshape", own, shape)


def _behind(draw: Drawing, encoder: Chunked, cut: Cut, new: Value, old: Value | None) -> Value:
    """(N, left + B C, d): keys or values of the steps before, and behind these of all chunks'."""
    left, d = encoder.chunks.left, encoder.output_size
    if old is None:
        before = draw.zeros(draw.size(cut.read, 0), left, d)
    else:
        before = draw.put("Reshape", old, draw.integers(0, left, d))
    return draw.join([before, _own(draw, cut, new, encoder.chunks.steps)], 1)


def _windows(draw: Drawing, encoder: Chunked, cut: Cut, seen: Value) -> Value:
    """(N B, left, d): what each chunk sees of the steps before it."""
    left, C = encoder.chunks.left, draw.constant(encoder.chunks.steps, np.int64)
    first = draw.spread(draw.put("Mul", draw.steps(cut.number), C), 1)
    at = draw.put("Add", first, draw.constant(range(left), np.int64))
    found = draw.put("Gather", seen, at, axis=1)  # (N, B, left, d)
    return draw.put("Reshape", found, draw.integers(-1, left, encoder.output_size))


def _kept(draw: Drawing, encoder: Chunked, cut: Cut, seen: Value) -> Value:
    """(N, left d): those before the first step of which nothing was said."""
    left = encoder.chunks.left
    at = draw.put("Add", draw.spread(cut.said, 1), draw.constant(range(left), np.int64))
    found = draw.put("GatherND", seen, draw.spread(at, 2), batch_dims=1)
    return draw.put("Reshape", found, draw.integers(0, left * encoder.output_size))


def _waiting(draw: Drawing, encoder: Chunked, cut: Cut) -> dict[str, Value]:
    """The steps of which nothing was said, how many these are, and of how many something was said so far."""
    said = draw.spread(cut.said, 1)
    after = {STEPS: draw.put("Cast", draw.put("Add", cut.before, said), to=FLOAT)}
    if not encoder.waits:
        return after
    at = draw.put("Add", said, draw.constant(range(encoder.waits), np.int64))  # (N, waits)
    steps = draw.put("Reshape", _picked(draw, cut, at), draw.integers(0, encoder.waits * encoder.input_size))
    number = draw.put("Cast", draw.spread(draw.put("Sub", cut.there, cut.said), 1), to=FLOAT)
    return after | {WAITING: steps, NUMBER: number}
