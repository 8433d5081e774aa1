"""BERT's encoder in float64 loops over texts, from Devlin et al. 2019 and Vaswani et al. 2017, by published names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def layer_norm(x: Array, gain: Array, shift: Array, eps: float) -> Array:
    """Ba et al. 2016, equation 4, over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    return gain * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) + shift


def run(w: Mapping[str, Array], ids: list[int], segments: list[int], *, layers: int, heads: int, eps: float) -> Array:
    """(T, d) of one text. w: the tensors of a BERT without a prefix"""
    x = np.stack(
        [
            w["embeddings.word_embeddings.weight"][i]
            + w["embeddings.position_embeddings.weight"][t]
            + w["embeddings.token_type_embeddings.weight"][s]
            for t, (i, s) in enumerate(zip(ids, segments, strict=True))
        ]
    )
    x = layer_norm(x, w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"], eps)
    for k in range(layers):
        x = layer(w, f"encoder.layer.{k}", x, heads, eps)
    return x


def layer(w: Mapping[str, Array], name: str, x: Array, heads: int, eps: float) -> Array:
    def affine(part: str, y: Array) -> Array:
        return y @ w[f"{name}.{part}.weight"].T + w[f"{name}.{part}.bias"]

    q, k, v = (affine(f"attention.self.{part}", x) for part in ("query", "key", "value"))
    said, size = np.zeros_like(x), x.shape[1] // heads
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        for t in range(len(x)):
            scores = np.array([q[t, own] @ k[s, own] / math.sqrt(size) for s in range(len(x))])
            weights = np.exp(scores - scores.max())
            said[t, own] = (weights / weights.sum()) @ v[:, own]
    norm = f"{name}.attention.output.LayerNorm"
    x = layer_norm(x + affine("attention.output.dense", said), w[f"{norm}.weight"], w[f"{norm}.bias"], eps)
    y = affine("intermediate.dense", x)
    y = affine("output.dense", 0.5 * y * (1 + _erf(y / math.sqrt(2))))  # GELU, Hendrycks & Gimpel 2016
    norm = f"{name}.output.LayerNorm"
    return layer_norm(x + y, w[f"{norm}.weight"], w[f"{norm}.bias"], eps)
