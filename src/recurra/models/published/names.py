"""How the tensors of an encoder are called where it was published, and which of ours they are, or are parts of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

PREFIXES = ("bert.", "roberta.", "distilbert.", "model.")
# Buffers that old files have: 0, 1, 2, ...
IGNORED = ("embeddings.position_ids", "embeddings.token_type_ids")
# In the order in which they are one matrix here.
_QKV = ("query", "key", "value")

_BERT: Mapping[str, str] = {
    "attention.self.query": "self_attn.in_proj.0",
    "attention.self.key": "self_attn.in_proj.1",
    "attention.self.value": "self_attn.in_proj.2",
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_DISTIL: Mapping[str, str] = {
    "attention.q_lin": "self_attn.in_proj.0",
    "attention.k_lin": "self_attn.in_proj.1",
    "attention.v_lin": "self_attn.in_proj.2",
    "attention.out_lin": "self_attn.out_proj",
    "sa_layer_norm": "norm1",
    "ffn.lin1": "linear1",
    "ffn.lin2": "linear2",
    "output_layer_norm": "norm2",
}
# Of TensorFlow's names, in which parts stand between strokes: tables, and what weights and biases are called.
_TABLES = ("word_embeddings", "position_embeddings", "token_type_embeddings")
_ENDS: Mapping[str, str] = {"kernel": "weight", "output_weights": "weight", "output_bias": "bias"}


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of ours, or a third of its rows. name: within inputs or encoder      third: of three, or None: all"""

    part: str
    name: str
    third: int | None = None

    def of(self, tensor: Tensor) -> Tensor:
        """What of our tensor this is."""
        if self.third is None:
            return tensor
        size = len(tensor) // 3
        return tensor[self.third * size : (self.third + 1) * size]


def places_of(family: str, num_layers: int, *, segments: bool, pooler: bool) -> dict[str, Place]:
    """The tensors that such an encoder has, by their names there without a prefix, and where they belong here."""
    found: dict[str, Place] = {}
    for theirs, ours in _embeddings(segments):
        found[theirs] = Place("inputs", ours)
    stem, layer = ("transformer.layer", _DISTIL) if family == "distilbert" else ("encoder.layer", _BERT)
    for number in range(num_layers):
        for theirs, ours in layer.items():
            for end in ("weight", "bias"):
                found[f"{stem}.{number}.{theirs}.{end}"] = _in_layer(number, ours, end)
    if pooler:
        found |= {f"pooler.dense.{end}": Place("encoder", f"pooler.{end}") for end in ("weight", "bias")}
    return found


def _embeddings(segments: bool) -> Iterator[tuple[str, str]]:
    yield "embeddings.word_embeddings.weight", "words.weight"
    yield "embeddings.position_embeddings.weight", "positions.weight"
    if segments:
        yield "embeddings.token_type_embeddings.weight", "segments.weight"
    yield "embeddings.LayerNorm.weight", "norm.weight"
    yield "embeddings.LayerNorm.bias", "norm.bias"


def _in_layer(number: int, ours: str, end: str) -> Place:
    name, dot, third = ours.rpartition(".")
    if dot and third.isdigit():
        return Place("encoder", f"blocks.{number}.{name}_{end}", int(third))
    return Place("encoder", f"blocks.{number}.{ours}.{end}")


def stripped(names: Iterable[str]) -> dict[str, str]:
    """Names as `places_of` has them -> as the file has them: no prefix, and LayerNorm's gamma and beta by their names.

    Only under LayerNorm: elsewhere a gamma is a gamma (transformers, issue 29554).
    """
    found: dict[str, str] = {}
    for real in names:
        name = _dotted(real) if "/" in real else real
        short = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
        for old, new in ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias")):
            if short.endswith(old):
                short = short.removesuffix(old) + new
        found[short] = real
    return found


def _dotted(name: str) -> str:
    """A name of TensorFlow's checkpoints as the same tensor is called in a file of safetensors."""
    *parts, end = re.sub(r"(?<=/)layer_(\d+)(?=/)", r"layer/\1", name).split("/")
    last = [end, "weight"] if end in _TABLES else [_ENDS.get(end, end)]
    return ".".join([*parts, *last])
