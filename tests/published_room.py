"""A tiny BERT as a Hugging Face folder, made on the fly: random weights, a vocabulary of letters and some words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
WORDS = [*SPECIAL, "!", ".", ",", "'", "the", "good", "bad", "film", "was", "##ing", "##ed", *LETTERS]
WORDS += [f"##{letter}" for letter in LETTERS]
CONFIG: dict[str, Any] = {
    "model_type": "bert", "vocab_size": len(WORDS), "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 12, "hidden_act": "gelu", "max_position_embeddings": 24, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
}  # fmt: skip
Tensors = dict[str, NDArray[Any]]


def tensors(seed: int = 0, dtype: str = "float32") -> Tensors:
    """The weights of CONFIG, without a prefix."""
    d, f, random = CONFIG["hidden_size"], CONFIG["intermediate_size"], np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), d),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (2, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
        "pooler.dense.bias": (d,),
    }
    for k in range(CONFIG["num_hidden_layers"]):
        of = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
              "attention.output.dense": (d, d), "intermediate.dense": (f, d), "output.dense": (d, f),
              "attention.output.LayerNorm": (d,), "output.LayerNorm": (d,)}  # fmt: skip
        for name, shape in of.items():
            shapes[f"encoder.layer.{k}.{name}.weight"] = shape
            shapes[f"encoder.layer.{k}.{name}.bias"] = shape[:1]
    return {name: random.normal(0, 0.5, shape).astype(dtype) for name, shape in shapes.items()}


def folder(
    path: Path,
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    config: Mapping[str, Any] = CONFIG,
    words: list[str] = WORDS,
    file: str = "model.safetensors",
) -> Path:
    """Such a folder, with these weights or those of seed 0."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "vocab.txt").write_text("\n".join(words) + "\n")
    save_file(dict(tensors() if weights is None else weights), path / file)
    return path
