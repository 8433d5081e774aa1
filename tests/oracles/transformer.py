"""A Transformer in float64, a sequence at a time, from Vaswani et al. 2017 and what amends it.

Weights by the names of torch.nn.TransformerEncoder and TransformerDecoder, without a prefix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oracles.bert import layer_norm
from oracles.loop import Array, logistic

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class Manner:
    """What is not in the weights. rotary: queries and keys of attention to itself are turned"""

    heads: int
    activation: str = "gelu"
    norm: str = "layer"
    norm_first: bool = True
    rotary: bool = False
    eps: float = 1e-5


def sinusoids(T: int, d: int) -> Array:
    """Vaswani et al. 2017, section 3.5."""
    return np.array([[(np.sin, np.cos)[i % 2](t / 10_000 ** (i // 2 * 2 / d)) for i in range(d)] for t in range(T)])


def decoder(w: Mapping[str, Array], x: Array, source: Array, layers: int, how: Manner) -> Array:
    """(T, d) of vectors of the target's steps (T, d), each of which sees itself and those before, and (S, d)."""
    for k in range(layers):
        own = {name.removeprefix(f"layers.{k}."): part for name, part in w.items()}

        def itself(y: Array, own: Mapping[str, Array] = own) -> Array:
            return attention(own, "self_attn", y, y, how, causal=True)

        def across(y: Array, own: Mapping[str, Array] = own) -> Array:
            return attention(own, "multihead_attn", y, source, how, causal=False)

        def fed(y: Array, own: Mapping[str, Array] = own) -> Array:
            return feed_forward(own, y, how.activation)

        for n, part in enumerate((itself, across, fed), 1):
            x = x + part(norm(own, f"norm{n}", x, how)) if how.norm_first else norm(own, f"norm{n}", x + part(x), how)
    return norm(w, "norm", x, how) if how.norm_first else x


def encoder(w: Mapping[str, Array], x: Array, layers: int, how: Manner, *, last: bool) -> Array:
    """(T, d) of vectors of steps (T, d), each of which sees all. last: whether a norm is behind the last layer"""
    for k in range(layers):
        own = {name.removeprefix(f"layers.{k}."): part for name, part in w.items()}

        def itself(y: Array, own: Mapping[str, Array] = own) -> Array:
            return attention(own, "self_attn", y, y, how, causal=False)

        def fed(y: Array, own: Mapping[str, Array] = own) -> Array:
            return feed_forward(own, y, how.activation)

        for n, part in enumerate((itself, fed), 1):
            x = x + part(norm(own, f"norm{n}", x, how)) if how.norm_first else norm(own, f"norm{n}", x + part(x), how)
    return norm(w, "norm", x, how) if last else x


def norm(w: Mapping[str, Array], name: str, x: Array, how: Manner) -> Array:
    """Ba et al. 2016, equation 4; or Zhang & Sennrich 2019, arXiv:1910.07467, equation 4."""
    if how.norm == "layer":
        return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], how.eps)
    return x / np.sqrt((x**2).mean(1, keepdims=True) + how.eps) * w[f"{name}.weight"]


def attention(w: Mapping[str, Array], name: str, x: Array, seen: Array, how: Manner, *, causal: bool) -> Array:
    """Equation 1, a head and a query at a time; of nothing to see zero, before the projection."""
    d, size = x.shape[1], x.shape[1] // how.heads
    W, b = w[f"{name}.in_proj_weight"], w[f"{name}.in_proj_bias"]
    q, k, v = (y @ W[i * d : i * d + d].T + b[i * d : i * d + d] for i, y in enumerate((x, seen, seen)))
    found = np.zeros_like(x)
    for h in range(how.heads):
        part = slice(h * size, (h + 1) * size)
        queries, keys = q[:, part], k[:, part]
        if how.rotary and seen is x:
            queries, keys = turned(queries), turned(keys)
        for t in range(len(x)):
            count = t + 1 if causal else len(seen)
            if count:
                weights = np.exp(keys[:count] @ queries[t] / np.sqrt(size))
                found[t, part] = weights / weights.sum() @ v[:count, part]
    return found @ w[f"{name}.out_proj.weight"].T + w[f"{name}.out_proj.bias"]


def turned(x: Array) -> Array:
    """Su et al. 2021, arXiv:2104.09864, equation 15, of pairs (x_i, x_{i + D/2}): each as a complex number."""
    T, D = x.shape
    angles = np.arange(T)[:, None] / 10_000 ** (np.arange(D // 2) * 2 / D)
    z = (x[:, : D // 2] + 1j * x[:, D // 2 :]) * np.exp(1j * angles)
    return np.concatenate([z.real, z.imag], 1)


def feed_forward(w: Mapping[str, Array], x: Array, activation: str) -> Array:
    """Equation 2; gated: Shazeer 2020, arXiv:2002.05202, equations 5 and 6."""
    y = x @ w["linear1.weight"].T + w["linear1.bias"]
    if activation in ("reglu", "geglu", "swiglu"):
        a, b = np.split(y, 2, 1)
        y = function({"reglu": "relu", "geglu": "gelu", "swiglu": "silu"}[activation], a) * b
    else:
        y = function(activation, y)
    return y @ w["linear2.weight"].T + w["linear2.bias"]


def function(word: str, x: Array) -> Array:
    """Hendrycks & Gimpel 2016, arXiv:1606.08415, for both kinds of GELU; SiLU: the same, section 4."""
    if word == "relu":
        return np.maximum(x, 0)
    if word == "silu":
        return x * logistic(x)
    if word == "gelu_tanh":
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / np.sqrt(2)))
