"""Codes of autoencoders as ONNX: from a summary (N, M) to (N, Z), as `recurra.models.latents`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from recurra.base.errors import ConfigError
from recurra.export.layers import linear
from recurra.export.onnx_graph import Drawing, Value
from recurra.models.latents import L1, Plain, Rate, TopK, Variational


def code(draw: Drawing, latent: nn.Module, summary: Value) -> Value:
    """Draw a code, without anything drawn. Raises ConfigError for one that is not known."""
    writer = WRITERS.get(type(latent))
    if writer is None:
        raise ConfigError(f"export: there is no way to write a code {type(latent).__name__} as ONNX.")
    return writer(draw, latent, summary)


def _plain(draw: Drawing, latent: Plain, summary: Value) -> Value:
    z: Value = linear(draw, latent.project, summary)
    if latent.activation == "linear":
        return z
    return draw.put(str(latent.activation).capitalize(), z)  # Relu, Tanh, Sigmoid


def _l1(draw: Drawing, latent: L1, summary: Value) -> Value:
    return draw.put("Relu", linear(draw, latent.project, summary))


def _rate(draw: Drawing, latent: Rate, summary: Value) -> Value:
    return draw.put("Sigmoid", linear(draw, latent.project, summary))


def _top_k(draw: Drawing, latent: TopK, summary: Value) -> Value:
    raw = linear(draw, latent.project, summary)
    largest, places = draw.puts("TopK", [raw, draw.integers(latent.k)], 2, axis=1)
    kept = draw.put("Relu", largest) if latent.nonnegative else largest
    zeros = draw.zeros(draw.size(raw, 0), latent.output_size)
    return draw.put("ScatterElements", zeros, places, kept, axis=1)


def _variational(draw: Drawing, latent: Variational, summary: Value) -> Value:
    mean: Value = linear(draw, latent.mean, summary)
    return mean


# The type of a code -> what draws it
WRITERS: dict[type[nn.Module], Callable[[Drawing, Any, Value], Value]] = {
    Plain: _plain,
    L1: _l1,
    Rate: _rate,
    TopK: _top_k,
    Variational: _variational,
}
