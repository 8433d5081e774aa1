"""A decoder of recurrent layers as ONNX: what it keeps from step to step, and a step, as `recurra.models.decoders`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recurra.data.tokenizers import UNK
from recurra.engine import Weights
from recurra.export import attention, bridges
from recurra.export.encoders import EncodedValues
from recurra.export.equations import step as cell_step
from recurra.export.layers import clean, linear, write
from recurra.export.onnx_graph import Array, Drawing, Shape, Value
from recurra.export.parts import Kept, Named, Stepped, padding, random_lengths, random_numbers, some_state
from recurra.export.recurrent import packed, zone
from recurra.models.decoders.decoder import Decoder, DecoderState
from recurra.nn.attention import Memory
from recurra.nn.attention.regions import Monotonic


def kept_of(decoder: Decoder) -> dict[str, Kept]:
    """What a decoder carries from step to step, by name, as `models.decoders.decoder.DecoderState`."""
    layers, found = decoder.recurrent, {}
    for layer in range(layers.num_layers):
        for name, width in zip(layers.cell.states, layers.state_sizes(), strict=True):
            found[f"{name}_l{layer}"] = Kept(np.float32, ("N", width), True)
    if decoder.attention is not None:
        found["values"] = Kept(np.float32, ("N", "T", decoder.attention.context_size), False)
        found["keys"] = Kept(np.float32, ("N", "T", attention.key_size(decoder.attention)), False)
        found["lengths"] = Kept(np.int64, ("N",), False)
    if isinstance(getattr(decoder.attention, "region", None), Monotonic):
        found["position"] = Kept(np.int64, (), True)
    if decoder.style.repeats_summary:
        found["summary"] = Kept(np.float32, ("N", layers.input_size - decoder.embedding.output_size), False)
    if decoder.input_feeding:
        found["fed"] = Kept(np.float32, ("N", decoder.output.in_features), True)
    if decoder.attention is not None and decoder.attention.covers:
        found["coverage"] = Kept(np.float32, ("N", "T"), True)
    if decoder.gate is not None:
        found["copies"] = Kept(np.int64, ("N", "T"), False)
    return found


def start(draw: Drawing, decoder: Decoder, source: EncodedValues, copies: Value | None) -> dict[str, Value]:
    """All that the first step reads, and more."""
    N = draw.size(source.summary, 0)
    states = bridges.first_states(draw, decoder.bridge, source)
    found = {
        f"{name}_l{layer}": state
        for layer, row in enumerate(states)
        for name, state in zip(decoder.recurrent.cell.states, row, strict=True)
    }
    if decoder.attention is not None:
        found["values"], found["keys"] = attention.prepare(draw, decoder.attention, source.outputs, source.lengths)
        found |= {"lengths": source.lengths, "coverage": draw.zeros(N, draw.size(source.outputs, 0))}
    if copies is not None:
        found["copies"] = draw.put("Transpose", clean(draw, copies, source.lengths), perm=[1, 0])
    found |= {"position": draw.constant(0, np.int64), "summary": source.summary}
    return found | {"fed": draw.zeros(N, decoder.output.in_features)}


def arrays(decoder: Decoder, state: DecoderState) -> Named:
    """A decoder's state by name."""
    found = {
        f"{name}_l{layer}": tensor
        for layer, row in enumerate(state.states)
        for name, tensor in zip(decoder.recurrent.cell.states, row, strict=True)
    }
    found |= {"position": torch.tensor(state.position, dtype=torch.int64)}
    if state.memory is not None:
        found |= {"values": state.memory.values, "keys": state.memory.keys, "lengths": state.memory.lengths}
    others = {"summary": state.summary, "fed": state.fed, "coverage": state.coverage, "copies": state.copies}
    found |= {name: tensor for name, tensor in others.items() if tensor is not None}
    return {name: found[name].numpy() for name in kept_of(decoder)}


# -- a step ------------------------------------------------------------------------------------------------------------


def step(draw: Drawing, decoder: Decoder, tokens: Value, old: dict[str, Value]) -> Stepped:
    """log_probs (N, V), what is kept after them, and the attention (N, T)."""
    new, weights, log_probs = _StepDrawing(draw, decoder, old).run(tokens)
    size: int | str = decoder.output.out_features if decoder.gate is None else "V"
    found: dict[str, tuple[Value, Shape]] = {"log_probs": (log_probs, ("N", size))}
    return Stepped(new, found if weights is None else found | {"attention": (weights, ("N", "T"))})


class _StepDrawing:
    """One step of a decoder, as `Decoder.step`. old: what it keeps, by name"""

    def __init__(self, draw: Drawing, decoder: Decoder, old: dict[str, Value]) -> None:
        self.draw, self.decoder, self.old = draw, decoder, old
        self.new: dict[str, Value] = {}
        self.weights: Value | None = None

    def run(self, tokens: Value) -> tuple[dict[str, Value], Value | None, Value]:
        """What is kept after the step, the attention, and the log-probabilities."""
        draw, decoder, style = self.draw, self.decoder, self.decoder.style
        x = write(draw, decoder.embedding, self._known(tokens))
        context = self.old.get("summary")
        fed = self.old.get("fed", context)
        if style.attends == "before":
            context = fed = self._attend(self.old[self._top])
        h = self._cells(x if fed is None else draw.put("Concat", x, fed, axis=-1))
        if style.attends == "after":
            context = self._attend(h)
        readout = write(draw, decoder.readout, h, x, context)
        self.new["fed"] = readout
        if "position" in self.old:
            self.new["position"] = draw.put("Add", self.old["position"], draw.constant(1, np.int64))
        return self.new, self.weights, self._log_probs(readout, h, x, context)

    @property
    def _top(self) -> str:
        layers = self.decoder.recurrent
        return f"{layers.cell.states[0]}_l{layers.num_layers - 1}"

    def _known(self, tokens: Value) -> Value:
        """A copied token that is not in the vocabulary is read as an unknown one."""
        if self.decoder.gate is None:
            return tokens
        inside = self.draw.put("Less", tokens, self.draw.constant(self.decoder.output.out_features, np.int64))
        return self.draw.put("Where", inside, tokens, self.draw.constant(UNK, np.int64))

    def _cells(self, x: Value) -> Value:
        """All layers, by their equations; the last one's output."""
        layers = self.decoder.recurrent
        for layer in range(layers.num_layers):
            weights = Weights(layers.cell, packed(layers, layer, 0))
            names = [f"{name}_l{layer}" for name in layers.cell.states]
            old = [self.old[name] for name in names]
            Wx = self.draw.put("MatMul", x, self.draw.weight(weights.packed["weight_ih"].T, "weight_ih"))
            new = cell_step(self.draw, weights, Wx, old)
            new = [zone(self.draw, *each) for each in zip(layers.zoneout, old, new, strict=True)]
            self.new.update(zip(names, new, strict=True))
            x = new[0]
        return x

    def _attend(self, query: Value) -> Value:
        """The context; the weights, and the coverage with them, are kept."""
        old, module = self.old, self.decoder.attention
        assert module is not None
        source = attention.Source(old["values"], old["keys"], old["lengths"], old.get("position", ""))
        context, weights = attention.attend(self.draw, module, query, source, old.get("coverage"))
        self.weights = weights
        if "coverage" in old:
            self.new["coverage"] = self.draw.put("Add", old["coverage"], weights)
        return context

    def _log_probs(self, readout: Value, h: Value, x: Value, context: Value | None) -> Value:
        draw, decoder = self.draw, self.decoder
        logits = linear(draw, decoder.output, readout)
        if decoder.gate is None:
            return draw.put("LogSoftmax", logits, axis=-1)
        assert context is not None
        assert self.weights is not None
        joined = draw.put("Concat", context, h, x, axis=-1)
        own = draw.put("Sigmoid", linear(draw, decoder.gate, joined))
        generated = draw.put("Mul", own, draw.put("Softmax", logits, axis=-1))
        pointed = draw.put("Mul", draw.put("Sub", draw.constant(1.0), own), self.weights)
        wider = draw.put("Concat", generated, self._room(), axis=-1)
        both = draw.put("ScatterElements", wider, self.old["copies"], pointed, axis=1, reduction="add")
        return draw.put("Log", draw.put("Max", both, draw.constant(TINY)))

    def _room(self) -> Value:
        """Zeros (N, K) for the K words that the sources of this batch add to the vocabulary."""
        draw, copies, V = self.draw, self.old["copies"], self.decoder.output.out_features
        flat = draw.put("Concat", draw.put("Reshape", copies, draw.integers(-1)), draw.integers(V - 1), axis=0)
        most = draw.put("ReduceMax", flat, axes=[0], keepdims=0)
        return draw.zeros(draw.size(copies, 0), draw.put("Sub", most, draw.constant(V - 1, np.int64)))


TINY = float(np.finfo(np.float32).tiny)


def some(random: np.random.Generator, decoder: Decoder, N: int, T: int) -> Named:
    """Tokens, and what a decoder could keep of sources of T steps."""
    V, copying, long = decoder.output.out_features, decoder.gate is not None, random_lengths(random, N, T)
    found: Named = {"tokens": random.integers(0, V + 2 * copying, N)}
    for name, kept in kept_of(decoder).items():
        found[name] = _some(random, name, kept.sizes(N=N, T=T), long, V)
    return found


def _some(random: np.random.Generator, name: str, shape: list[int], lengths: Array, V: int) -> Array:
    """Something that a decoder could keep under this name."""
    if name == "lengths":
        return lengths
    if name == "position":
        return np.array(random.integers(0, 9))
    if name == "copies":
        return np.where(padding(lengths, shape[1]).T, 0, random.integers(0, V + 3, shape))
    if name == "coverage":
        return np.abs(random_numbers(random, *shape))
    if name == "values":
        return np.where(padding(lengths, shape[1]).T[..., None], np.float32(0), random_numbers(random, *shape))
    return some_state(random, name.partition("_")[0], shape)


def answer(decoder: Decoder, tensors: dict[str, Tensor]) -> tuple[DecoderState, Named]:
    """The state after a step, and what is said."""
    old = _state(decoder, tensors)
    log_probs, new = decoder.step(tensors["tokens"], old)
    if decoder.gate is not None:  # what cannot be said has the smallest probability of float32
        log_probs = log_probs.clamp_min(float(np.log(TINY)))
    found = {"log_probs": log_probs.numpy()}
    if decoder.attention is not None and old.memory is not None:
        query = (old if decoder.style.attends == "before" else new).states[-1][0]
        _, weights = decoder.attention.attend(query, old.memory, start=old.position, coverage=old.coverage)
        found["attention"] = weights.numpy()
    return new, found


def _state(decoder: Decoder, tensors: dict[str, Tensor]) -> DecoderState:
    """The inverse of `arrays`."""
    layers, memory = decoder.recurrent, None
    if decoder.attention is not None:
        lengths = tensors["lengths"]
        hidden = torch.arange(tensors["keys"].shape[1]) >= lengths.unsqueeze(1)
        memory = Memory(tensors["values"], tensors["keys"], hidden.unsqueeze(1), lengths, True)
    copies, V = tensors.get("copies"), decoder.output.out_features
    return DecoderState(
        tuple(tuple(tensors[f"{n}_l{k}"] for n in layers.cell.states) for k in range(layers.num_layers)),
        int(tensors.get("position", 0)),
        torch.arange(len(tensors["tokens"])),
        V if copies is None or not copies.numel() else max(V, int(copies.max()) + 1),
        memory,
        tensors.get("summary"),
        tensors.get("fed"),
        tensors.get("coverage"),
        copies,
    )
