"""A decoder of attention as ONNX: keys and values of the source and of what is written, and a step that adds its own.

What is kept has N rows first, as a recurrent decoder's: `source_keys_l0` (N, T, d) of the source, once a sentence, and
`keys_l0` (N, P, d) of the P steps before, P + 1 after a step. So a step knows its position by what it is given.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recurra.export.attention import softmax_where
from recurra.export.encoders import EncodedValues
from recurra.export.layers import write
from recurra.export.onnx_graph import Array, Drawing, Shape, Value
from recurra.export.parts import Kept, Named, Stepped, padding, random_lengths, random_numbers
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
from recurra.models.decoders.attending import AttendingDecoder, AttendingState, Memory
from recurra.nn.transformer import TransformerDecoderLayer
from recurra.nn.transformer.attention import CrossAttention
from recurra.nn.transformer.cache import KeyValueCache

BOTH = ("keys", "values")
Pair = tuple[Value, Value]


def kept_of(decoder: AttendingDecoder) -> dict[str, Kept]:
    """What a decoder carries from step to step, by name."""
    size, layers = decoder.embedding.output_size, range(len(decoder.layers))
    found = {f"source_{name}_l{k}": Kept(np.float32, ("N", "T", size), False) for name in BOTH for k in layers}
    found["lengths"] = Kept(np.int64, ("N",), False)
    return found | {f"{name}_l{k}": Kept(np.float32, ("N", "P", size), True) for name in BOTH for k in layers}


def start(
    draw: Drawing, decoder: AttendingDecoder, source: EncodedValues, copies: Value | None = None
) -> dict[str, Value]:
    """All that the first step reads; nothing is written yet."""
    real = draw.spread(draw.sequence_mask(source.lengths, source.outputs), 2)
    x = write(draw, decoder.project, draw.where(real, source.outputs))
    found = {"lengths": source.lengths}
    none = draw.zeros(draw.size(x, 1), 0, decoder.embedding.output_size)
    for k, layer in enumerate(decoder.layers):
        module = layer.multihead_attn
        joint = draw.where(real, mapped(draw, module, x, slice(module.embed_dim, None)))
        pair = draw.puts("Split", [draw.put("Transpose", joint, perm=[1, 0, 2])], 2, axis=2)
        for name, value in zip(BOTH, pair, strict=True):
            found |= {f"source_{name}_l{k}": value, f"{name}_l{k}": none}
    return found


def arrays(decoder: AttendingDecoder, state: AttendingState) -> Named:
    """A decoder's state by name."""
    N, P, lengths = len(state.source), state.position, np.array([count for _, count in state.memory.places])
    T, found = max(lengths.tolist(), default=0), {"lengths": lengths.astype(np.int64)}
    held, each = state.held.numpy(), np.arange(P)[:, None]
    for k, pair in enumerate(state.memory.layers):
        own = (state.cache.keys[k], state.cache.values[k])
        for name, rows, written in zip(BOTH, pair, own, strict=True):
            there = np.zeros((N, T, rows.shape[1]), rows.numpy().dtype)
            for n, (first, count) in enumerate(state.memory.places):
                there[n, :count] = rows[first : first + count].numpy()
            found |= {f"source_{name}_l{k}": there, f"{name}_l{k}": written.numpy()[each, held].transpose(1, 0, 2)}
    return found


# -- a step ------------------------------------------------------------------------------------------------------------


def step(draw: Drawing, decoder: AttendingDecoder, tokens: Value, old: dict[str, Value]) -> Stepped:
    """log_probs (N, V), keys and values after them, and the last layer's attention (N, T), the mean of its heads."""
    at = draw.spread(draw.size(old["keys_l0"], 1), 0)  # (1,)
    x = placed(draw, decoder.places, draw.spread(write(draw, decoder.embedding, tokens), 1), draw.spread(at, 0))
    beyond = draw.spread(draw.steps(draw.size(old["source_keys_l0"], 1)), 0)
    unseen = draw.spread(draw.put("GreaterOrEqual", beyond, draw.spread(old["lengths"], 1)), 1, 2)  # (N, 1, 1, T)
    new: dict[str, Value] = {}
    weights = ""
    for k, layer in enumerate(decoder.layers):
        own, source = ((old[f"{side}keys_l{k}"], old[f"{side}values_l{k}"]) for side in ("", "source_"))
        x, pair, weights = _LayerDrawing(draw, layer, at).run(x, own, source, unseen)
        new |= {f"{name}_l{k}": value for name, value in zip(BOTH, pair, strict=True)}
    y = draw.put("Squeeze", normed(draw, decoder.norm, x), draw.integers(1))
    log_probs = draw.put("LogSoftmax", write(draw, decoder.output, y), axis=-1)
    attention = draw.put("Squeeze", draw.put("ReduceMean", weights, axes=[1], keepdims=0), draw.integers(1))
    shape: Shape = ("N", decoder.output.out_features)
    return Stepped(new, {"log_probs": (log_probs, shape), "attention": (attention, ("N", "T"))})


class _LayerDrawing:
    """One step of a layer. at: (1,) where it stands"""

    def __init__(self, draw: Drawing, layer: TransformerDecoderLayer, at: Value) -> None:
        self.draw, self.layer, self.at = draw, layer, at

    def run(self, x: Value, own: Pair, source: Pair, unseen: Value) -> tuple[Value, Pair, Value]:
        """x (N, 1, d), keys and values after it, and the weights (N, heads, 1, T) of the source."""
        draw, layer = self.draw, self.layer
        said, own = self._itself(normed_first(draw, layer, layer.norm1, x), own)
        x = added(draw, layer, layer.norm1, x, said)
        said, weights = self._source(normed_first(draw, layer, layer.norm2, x), source, unseen)
        x = added(draw, layer, layer.norm2, x, said)
        said = fed_forward(draw, layer, normed_first(draw, layer, layer.norm3, x))
        return added(draw, layer, layer.norm3, x, said), own, weights

    def _itself(self, y: Value, before: Pair) -> tuple[Value, Pair]:
        draw, module = self.draw, self.layer.self_attn
        q, key, value = draw.puts("Split", [mapped(draw, module, y, slice(None))], 3, axis=2)
        q = heads(draw, module, q)
        if module.rotary:
            q, key = rotated(draw, module, q, self.at), self._rotated_key(key)
        keys, values = (draw.join(both, 1) for both in zip(before, (key, value), strict=True))
        k, v = heads(draw, module, keys), heads(draw, module, values)
        weights = draw.put("Softmax", scored(draw, module, q, k), axis=-1)
        return mixed(draw, module, weights, v), (keys, values)

    def _rotated_key(self, key: Value) -> Value:
        """A key is kept as it was turned, as all that is kept is read where it stands."""
        draw, module = self.draw, self.layer.self_attn
        turned = draw.put("Transpose", rotated(draw, module, heads(draw, module, key), self.at), perm=[0, 2, 1, 3])
        return draw.put("Reshape", turned, draw.integers(0, 0, module.embed_dim))

    def _source(self, y: Value, source: Pair, unseen: Value) -> tuple[Value, Value]:
        draw, module = self.draw, self.layer.multihead_attn
        q = heads(draw, module, mapped(draw, module, y, slice(0, module.embed_dim)))
        k, v = (heads(draw, module, part) for part in source)
        weights = softmax_where(draw, scored(draw, module, q, k), unseen)
        return mixed(draw, module, weights, v), weights


# -- what the decoder itself says --------------------------------------------------------------------------------------


def some(random: np.random.Generator, decoder: AttendingDecoder, N: int, T: int) -> Named:
    """Tokens, and what a decoder could keep of sources of T steps."""
    lengths, table = random_lengths(random, N, T), decoder.places.table
    P = int(random.integers(0, 9 if table is None else min(9, table.num_embeddings)))
    found: Named = {"tokens": random.integers(0, decoder.output.out_features, N)}
    for name, kept in kept_of(decoder).items():
        found[name] = random_numbers(random, *kept.sizes(N=N, T=T, P=P))
        if name.startswith("source_"):
            found[name][padding(lengths, T).T] = 0
    return found | {"lengths": lengths}


def answer(decoder: AttendingDecoder, tensors: dict[str, Tensor]) -> tuple[AttendingState, Named]:
    """The state after a step, and what is said."""
    before = _state(decoder, tensors)
    last = decoder.layers[-1]
    looked: list[Tensor] = []
    norm = last.norm2 if last.norm_first else last.norm1  # of whose result the queries are made
    hook = norm.register_forward_hook(lambda module, inputs, y: looked.append(y))
    log_probs, after = decoder.step(tensors["tokens"], before)
    hook.remove()
    weights = _weights(last.multihead_attn, looked[0], tensors[f"source_keys_l{len(decoder.layers) - 1}"], before)
    return after, {"log_probs": log_probs.numpy(), "attention": weights}


def _weights(module: CrossAttention, y: Tensor, keys: Tensor, state: AttendingState) -> Array:
    """(N, T): the mean over heads of what is attended to, zero where padded."""
    found = torch.zeros(keys.shape[:2], dtype=keys.dtype)
    q = module.queries(y).view(len(y), module.num_heads, module.head_dim)
    for n, (_, count) in enumerate(state.memory.places):
        k = keys[n, :count].view(count, module.num_heads, module.head_dim)
        scores = torch.einsum("hd,thd->ht", q[n], k) * module.head_dim**-0.5
        found[n, :count] = scores.softmax(1).mean(0)
    return found.numpy()


def _state(decoder: AttendingDecoder, tensors: dict[str, Tensor]) -> AttendingState:
    """The inverse of `arrays`."""
    lengths = tensors["lengths"]
    N, P, size = tensors["keys_l0"].shape
    real, each = torch.arange(tensors["source_keys_l0"].shape[1]) < lengths.unsqueeze(1), torch.arange(N)
    layers = range(len(decoder.layers))
    pairs = [tuple(tensors[f"source_{name}_l{k}"][real] for name in BOTH) for k in layers]
    table = torch.stack([lengths.cumsum(0) - lengths, lengths], 1)
    places = tuple((first, count) for first, count in table.tolist())
    memory = Memory(tuple((k, v) for k, v in pairs), places, table)
    cache = KeyValueCache(len(decoder.layers), size, tensors["keys_l0"], steps=P + 1, rows=N)
    for k in layers:
        for rows, name in ((cache.keys, "keys"), (cache.values, "values")):
            rows[k][:P] = tensors[f"{name}_l{k}"].transpose(0, 1)
    cache.written = P
    return AttendingState(P, memory, each, cache, each.repeat(P, 1))
