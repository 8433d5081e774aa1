"""Heads as ONNX: from what is encoded to named outputs, as `recurra.models.heads`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from recurra.base.errors import ConfigError
from recurra.export.encoders import EncodedValues
from recurra.export.layers import linear, write
from recurra.export.onnx_graph import Drawing, Shape, Value
from recurra.export.parts import Named, padding
from recurra.export.transformers import activated, normed
from recurra.models.heads import (
    HEADS,
    ChoiceHead,
    CtcHead,
    LabelHead,
    MaskedHead,
    NotesHead,
    NumbersHead,
    SpanHead,
    TagsHead,
    TransducerHead,
    VocabularyHead,
)
from recurra.nn import softmax_log_probabilities


@dataclass(frozen=True, slots=True)
class Said:
    """One output. value: of the file      answer: the same of the model's outputs, whatever stands in its padding"""

    value: Value
    shape: Shape
    answer: Callable[[Mapping[str, Tensor]], Tensor]
    padded: bool = True


def said(draw: Drawing, head: nn.Module, encoded: EncodedValues) -> dict[str, Said]:
    """Draw a head: its outputs by name. Raises ConfigError for a head that is not known."""
    writer = WRITERS.get(type(head))
    if writer is None:
        known = ", ".join(word for word in HEADS if HEADS[word] in set[object](WRITERS))
        raise ConfigError(f"export: there is no way to write a head {type(head).__name__} as ONNX; {known} have one.")
    return writer(draw, head, encoded)


def answers(outputs: Mapping[str, Tensor], drawn: Mapping[str, Said], lengths: Any) -> Named:
    """What the model itself says, by the file's names; a file says zero of padding, where a model may say anything."""
    found: Named = {}
    for name, one in drawn.items():
        array = one.answer(outputs).numpy()
        if one.padded:
            array[padding(lengths, len(array))] = 0
        found[name] = array
    return found


def _only_real(draw: Drawing, encoded: EncodedValues, value: Value) -> Value:
    """A value (T, N, ...) with zeros where padded."""
    return draw.where(draw.spread(draw.sequence_mask(encoded.lengths, encoded.outputs), 2), value)


def _label(draw: Drawing, head: LabelHead, encoded: EncodedValues) -> dict[str, Said]:
    return {"logits": _pooled(draw, head, encoded, "logits")}


def _numbers(draw: Drawing, head: NumbersHead, encoded: EncodedValues) -> dict[str, Said]:
    return {"numbers": _pooled(draw, head, encoded, "numbers")}


def _choice(draw: Drawing, head: ChoiceHead, encoded: EncodedValues) -> dict[str, Said]:
    return {"choice_logits": _pooled(draw, head, encoded, "choice_logits")}


def _pooled(draw: Drawing, head: LabelHead | NumbersHead | ChoiceHead, encoded: EncodedValues, name: str) -> Said:
    """A linear layer over the one vector that the steps become."""
    pooled = write(draw, head.pool, encoded.outputs, encoded.summary, encoded.lengths)
    shape = ("N", head.output.out_features)
    return Said(linear(draw, head.output, pooled), shape, _named(name), padded=False)


def _tags(draw: Drawing, head: TagsHead, encoded: EncodedValues) -> dict[str, Said]:
    emissions = _only_real(draw, encoded, linear(draw, head.output, encoded.outputs))
    found = {"emissions": Said(emissions, ("T", "N", head.output.out_features), lambda out: out["emissions"])}
    for name, scores in ({} if head.crf is None else head.crf()).items():
        found[name] = Said(draw.weight(scores, name), tuple(scores.shape), _named(name), padded=False)
    return found


def _named(name: str) -> Callable[[Mapping[str, Tensor]], Tensor]:
    return lambda outputs: outputs[name]


def _notes(draw: Drawing, head: NotesHead, encoded: EncodedValues) -> dict[str, Said]:
    logits = _only_real(draw, encoded, linear(draw, head.output, encoded.outputs))
    return {"logits": Said(logits, ("T", "N", head.output.out_features), lambda out: out["logits"])}


def _ctc(draw: Drawing, head: CtcHead, encoded: EncodedValues) -> dict[str, Said]:
    logits = _only_real(draw, encoded, linear(draw, head.output, encoded.outputs))
    return {"logits": Said(logits, ("T", "N", head.output.out_features), _named("logits"))}


def _transducer(draw: Drawing, head: TransducerHead, encoded: EncodedValues) -> dict[str, Said]:
    frames = _only_real(draw, encoded, linear(draw, head.left, encoded.outputs))
    return {"frames": Said(frames, ("T", "N", head.left.out_features), _named("frames"))}


def _span(draw: Drawing, head: SpanHead, encoded: EncodedValues) -> dict[str, Said]:
    logits = _only_real(draw, encoded, linear(draw, head.output, encoded.outputs))
    return {"span_logits": Said(logits, ("T", "N", 2), _named("span_logits"))}


def _vocabulary(draw: Drawing, head: VocabularyHead, encoded: EncodedValues) -> dict[str, Said]:
    log_probs = _only_real(draw, encoded, _log_probs(draw, encoded.outputs, head.output()))
    return {"log_probs": Said(log_probs, ("T", "N", head.num_tokens), softmax_log_probabilities)}


def _masked(draw: Drawing, head: MaskedHead, encoded: EncodedValues) -> dict[str, Said]:
    """Of every step, as the file has no places: what stands where nothing is hidden is told too."""
    assert head.bias is not None
    y = activated(draw, head.word, linear(draw, head.transform, encoded.outputs))
    hidden = normed(draw, head.norm, y)
    assert head.weight is not None
    log_probs = _only_real(draw, encoded, _log_softmax(draw, hidden, head.weight, head.bias))
    found = {"log_probs": Said(log_probs, ("T", "N", len(head.bias)), softmax_log_probabilities)}
    if head.pair is not None:
        pairs = linear(draw, head.pair, encoded.summary)
        found["pair_logits"] = Said(pairs, ("N", 2), _named("pair_logits"), padded=False)
    return found


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


# The type of a head -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, EncodedValues], dict[str, Said]]] = {
    LabelHead: _label,
    CtcHead: _ctc,
    TransducerHead: _transducer,
    TagsHead: _tags,
    NotesHead: _notes,
    NumbersHead: _numbers,
    SpanHead: _span,
    ChoiceHead: _choice,
    VocabularyHead: _vocabulary,
    MaskedHead: _masked,
}
