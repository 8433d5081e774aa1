"""What config.json says of a network; or bert_config.json, as Google published BERT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.base.errors import ConfigError

MAX_BYTES = 2**20
# Hugging Face's, and Google's, which says no model_type: it is a BERT.
CONFIGS = ("config.json", "bert_config.json")
# The word in config.json -> the family, whose tensors have the same names.
FAMILIES: Mapping[str, str] = {
    "bert": "bert",
    "distilbert": "distilbert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
}
# `gelu` is by the error function there, as in Devlin's paper; Google's own code took the tanh (its modeling.py).
ACTIVATIONS: Mapping[str, str] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_DISTIL: Mapping[str, str] = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes and parts of a published encoder. num_positions: rows of its table; the first that is used is
    first_position, 2 in RoBERTa, whose padding has one"""

    family: str
    num_pieces: int
    hidden_size: int
    num_layers: int
    num_heads: int
    feed_forward_size: int
    activation: str
    num_positions: int
    first_position: int
    num_segments: int
    norm_eps: float
    dropout: float
    attention_dropout: float

    @property
    def longest(self) -> int:
        """Pieces that a text may have, marks and all."""
        return self.num_positions - self.first_position


def read_architecture(folder: Path) -> Architecture:
    """What config.json in a folder says. Raises ConfigError, which names it, for a network that is none of these."""
    path = next((folder / name for name in CONFIGS if (folder / name).is_file()), None)
    if path is None:
        raise ConfigError(
            f"{folder}: expected config.json, vocabulary and weights (model.safetensors); found no config.json and no "
            "bert_config.json."
        )
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_BYTES))
        if path.name == CONFIGS[1]:
            data = {"model_type": "bert", **data}
        return _architecture(data, path)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: says no {str(error)[:200]}, expected the config of a BERT.") from None


def _architecture(data: Mapping[str, Any], path: Path) -> Architecture:
    word = data["model_type"]
    if word not in FAMILIES:
        raise ConfigError(f"{path}: has model_type {word!r:.40}, expected one of {', '.join(FAMILIES)}.")
    family = FAMILIES[word]
    said = {name: data[other] for name, other in _DISTIL.items() if other in data} if family == "distilbert" else data
    activation = said["hidden_act"]
    if activation not in ACTIVATIONS:
        raise ConfigError(f"{path}: has hidden_act {activation!r:.40}, expected one of {', '.join(ACTIVATIONS)}.")
    if (how := data.get("position_embedding_type", "absolute")) != "absolute":
        raise ConfigError(f"{path}: has position_embedding_type {how!r:.40}, expected absolute.")
    for size in ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size"):
        if int(said[size]) < 1:
            raise ConfigError(f"{path}: {size} is {said[size]!r:.40}, expected 1 or more.")
    if said["hidden_size"] % said["num_attention_heads"]:
        raise ConfigError(f"{path}: num_attention_heads does not divide hidden_size {said['hidden_size']}.")
    return Architecture(
        family,
        int(data["vocab_size"]),
        int(said["hidden_size"]),
        int(said["num_hidden_layers"]),
        int(said["num_attention_heads"]),
        int(said["intermediate_size"]),
        ACTIVATIONS[activation],
        int(data["max_position_embeddings"]),
        int(data.get("pad_token_id", 1)) + 1 if family == "roberta" else 0,
        0 if family == "distilbert" else int(data.get("type_vocab_size", 2)),
        float(data.get("layer_norm_eps", 1e-12)),
        float(said.get("hidden_dropout_prob", 0.1)),
        float(said.get("attention_probs_dropout_prob", 0.1)),
    )


def as_config(made: Architecture, architectures: str, pad: int) -> dict[str, Any]:
    """The config.json of a network. architectures: the class that `transformers` makes of it"""
    word = next(name for name, hidden in ACTIVATIONS.items() if hidden == made.activation)
    said: dict[str, Any] = {
        "hidden_size": made.hidden_size,
        "num_hidden_layers": made.num_layers,
        "num_attention_heads": made.num_heads,
        "intermediate_size": made.feed_forward_size,
        "hidden_act": word,
        "hidden_dropout_prob": made.dropout,
        "attention_probs_dropout_prob": made.attention_dropout,
    }
    if made.family == "distilbert":
        said = {_DISTIL[name]: value for name, value in said.items()}
    else:
        said |= {"type_vocab_size": made.num_segments, "layer_norm_eps": made.norm_eps}
    return {
        "architectures": [architectures],
        "model_type": made.family,
        "vocab_size": made.num_pieces,
        "max_position_embeddings": made.num_positions,
        "pad_token_id": pad,
        **said,
    }
