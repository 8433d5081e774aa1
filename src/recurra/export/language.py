"""Models of what follows, one ONNX file each: tokens or chords and states in, what comes next and states out.

With T = 1 it is a step of generation. An output "next_state.0" is the input "state.0" of the call that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from recurra.base.contracts import Batch
from recurra.export.layers import clean, linear, write
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.parts import Named, Part, padding, random_lengths, random_numbers, some_state, table_size
from recurra.export.recurrent import recurrent
from recurra.models import Chords, LanguageModel
from recurra.nn import Recurrent, softmax_log_probabilities


def language_model(model: LanguageModel, *, for_any: bool) -> list[Part]:
    """tokens, lengths, states -> log_probs (T, N, V), zero where padded, and the states after each row's last step."""
    draw, V = Drawing(for_any=for_any), table_size(model.embedding)
    tokens = draw.input("tokens", np.int64, ("T", "N"))
    lengths = draw.input("lengths", np.int64, ("N",))
    x: Value = write(draw, model.embedding, clean(draw, tokens, lengths))
    states: dict[str, tuple[Value, int]] = {}
    for layers in _layers(model):
        names = [f"state.{len(states) + k}" for k in range(len(layers.cell.states))]
        sizes = layers.state_sizes()
        given = [draw.input(name, np.float32, ("N", size)) for name, size in zip(names, sizes, strict=True)]
        x, after = recurrent(draw, layers, x, lengths, tuple(draw.spread(value, 0) for value in given))
        states |= {name: (draw.take(s, 0, 0), n) for name, s, n in zip(names, after, sizes, strict=True)}
    real = draw.spread(draw.sequence_mask(lengths, tokens), 2)
    log_probs = draw.where(real, _log_probs(draw, x, model.output()))
    draw.output("log_probs", log_probs, np.float32, ("T", "N", V))
    for name, (value, size) in states.items():
        draw.output(f"next_{name}", value, np.float32, ("N", size))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        found: Named = {"tokens": random.integers(0, V, (T, N)), "lengths": random_lengths(random, N, T)}
        names = [name for layers in _layers(model) for name in layers.cell.states]
        for place, ((_, size), name) in enumerate(zip(states.values(), names, strict=True)):
            found[f"state.{place}"] = some_state(random, name, (N, size))
        return found

    return [Part("", draw, ask, _answer)]


def _layers(model: LanguageModel) -> list[Recurrent]:
    return [layers for layers in model.layers if isinstance(layers, Recurrent)]


def _log_probs(draw: Drawing, h: Value, tensors: Mapping[str, Tensor]) -> Value:
    """As `recurra.nn.softmax_log_probabilities`, of h (T, N, D) and the output layer's tensors."""
    weights = {name.removeprefix("output."): tensor for name, tensor in tensors.items()}
    if "weight" in weights:
        return _log_softmax(draw, h, weights["weight"], weights["bias"])
    tails = sum(name.startswith("tail.") for name in weights)
    frequent = len(weights["head"]) - tails
    head = _log_softmax(draw, h, weights["head"], weights["head_bias"])
    own, *clusters = draw.puts("Split", [head, draw.integers(frequent, *[1] * tails)], 1 + tails, axis=-1)
    parts = [own]
    for k, cluster in enumerate(clusters, start=1):
        projection = weights.get(f"projection.{k}")
        inner = h if projection is None else draw.put("MatMul", h, draw.weight(projection.T, "projection"))
        rare = _log_softmax(draw, inner, weights[f"tail.{k}"], weights[f"tail_bias.{k}"])
        parts.append(draw.put("Add", cluster, rare))
    return draw.join(parts, -1)


def _log_softmax(draw: Drawing, h: Value, weight: Tensor, bias: Tensor) -> Value:
    logits = draw.put("Add", draw.put("MatMul", h, draw.weight(weight.T)), draw.weight(bias, "bias"))
    return draw.put("LogSoftmax", logits, axis=-1)


def _answer(model: LanguageModel, inputs: Named) -> Named:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    outputs = model(Batch(tensors, tensors["lengths"], {}, ())).outputs
    found = {f"next_{name}": tensor.numpy() for name, tensor in outputs.items() if name.startswith("state.")}
    log_probs = softmax_log_probabilities(outputs).numpy()
    log_probs[padding(inputs["lengths"], len(log_probs))] = 0  # what the model says of padding may be anything
    return found | {"log_probs": log_probs}


def chords(model: Chords, *, for_any: bool) -> list[Part]:
    """notes (T, N, V), lengths, states -> logits (T, N, V), zero where padded, and the states after each last step."""
    draw, layers, V = Drawing(for_any=for_any), model.recurrent, model.output.out_features
    notes = draw.input("notes", np.float32, ("T", "N", V))
    lengths = draw.input("lengths", np.int64, ("N",))
    sizes = {f"state.{k}": (layers.num_layers, size) for k, size in enumerate(layers.state_sizes())}
    given = tuple(draw.input(name, np.float32, (rows, "N", size)) for name, (rows, size) in sizes.items())
    hidden, after = recurrent(draw, layers, notes, lengths, given)
    real = draw.spread(draw.sequence_mask(lengths, notes), 2)
    draw.output("logits", draw.where(real, linear(draw, model.output, hidden)), np.float32, ("T", "N", V))
    for (name, (rows, size)), value in zip(sizes.items(), after, strict=True):
        draw.output(f"next_{name}", value, np.float32, (rows, "N", size))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        long, heard = random_lengths(random, N, T), random_numbers(random, T, N, V)
        heard[padding(long, T)] = np.nan
        names = zip(sizes.items(), layers.cell.states, strict=True)
        states = {k: some_state(random, name, (rows, N, size)) for (k, (rows, size)), name in names}
        return {"notes": heard, "lengths": long, **states}

    return [Part("", draw, ask, _answer_chords)]


def _answer_chords(model: Chords, inputs: Named) -> Named:
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    outputs = model(Batch(tensors, tensors["lengths"], {}, ())).outputs
    found = {f"next_{name}": tensor.numpy() for name, tensor in outputs.items() if name.startswith("state.")}
    logits = outputs["logits"].numpy()
    logits[padding(inputs["lengths"], len(logits))] = 0
    return found | {"logits": logits}
