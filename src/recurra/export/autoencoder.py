"""An autoencoder as one ONNX file: its code, and what is expected of each number, without draws and noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.base.contracts import Batch
from recurra.base.errors import ConfigError
from recurra.export.encoders import MOST, encoded, longest
from recurra.export.inputs import read
from recurra.export.latents import code
from recurra.export.layers import write
from recurra.export.onnx_graph import Drawing, Value
from recurra.export.parts import Named, Part
from recurra.export.reconstructions import has_steps, reconstruction
from recurra.export.step_reconstructions import Wanted
from recurra.losses.likelihoods import (
    NEAR_ZERO,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    Likelihood,
    SquaredError,
)
from recurra.models.rebuilding import Rebuilding
from recurra.models.reconstructions import TransformerReconstruction


def autoencoder(model: Rebuilding, *, for_any: bool) -> list[Part]:
    """What the inputs read and lengths -> "codes" (N, Z), "reconstruction" (T, N, D), as they are scaled.

    Raises ConfigError for a decoder that is not known.
    """
    draw, inside = Drawing(for_any=for_any), model.model
    source = read(draw, inside.inputs, {})
    found = encoded(draw, inside.encoder, source.x, source.lengths, {})
    summary = write(draw, inside.pool, found.outputs, found.summary, found.lengths)
    codes = code(draw, inside.latent, summary)
    several = has_steps(inside.decoder)
    shape = draw.integers(0, 0, inside.values, model.likelihood.size)

    def mean_of(within: Drawing, numbers: Value) -> Value:
        """(N, D) of the numbers of one step (N, D P)."""
        each = within.put("Reshape", within.spread(numbers, 0), shape)
        return within.take(expected(within, model.likelihood, each), 0, 0)

    wanted = Wanted(found.lengths, draw.size(source.x, 0), mean_of)
    said = reconstruction(draw, inside.decoder, codes, wanted)
    mean = expected(draw, model.likelihood, draw.put("Reshape", said, shape))
    draw.output("codes", codes, np.float32, ("N", inside.code_size))
    draw.output("reconstruction", mean, np.float32, ("T" if several else 1, "N", inside.values))

    def ask(random: np.random.Generator, N: int, T: int) -> Named:
        return source.ask(random, N, min(T if several else 1, longest(inside.encoder), _most(inside.decoder)))

    def answer(model: Rebuilding, inputs: Named) -> Named:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        said = model(Batch(tensors, tensors["lengths"], {}, ()))
        return {name: one.numpy() for name, one in zip(("codes", "reconstruction"), said, strict=True)}

    return [Part("", draw, ask, answer)]


def _most(decoder: nn.Module) -> int:
    """Steps that a decoder has positions for."""
    table = decoder.places.table if isinstance(decoder, TransformerReconstruction) else None
    return MOST if table is None else table.num_embeddings


def expected(draw: Drawing, likelihood: Likelihood, numbers: Value) -> Value:
    """(T, N, D): the mean of what numbers (T, N, D, P) say. Raises ConfigError for a likelihood that is not known."""
    writer = WRITERS.get(type(likelihood))
    if writer is None:
        raise ConfigError(f"export: there is no way to write a likelihood {type(likelihood).__name__} as ONNX.")
    return writer(draw, likelihood, numbers)


def _first(draw: Drawing, likelihood: Any, numbers: Value) -> Value:
    return draw.take(numbers, 0, 3)


def _probability(draw: Drawing, likelihood: Any, numbers: Value) -> Value:
    return draw.put("Sigmoid", _first(draw, likelihood, numbers))


def _continuous(draw: Drawing, likelihood: Any, numbers: Value) -> Value:
    """1 / (1 - e^-r) - 1 / r, and near 0 its series, as in training."""
    r, one = _first(draw, likelihood, numbers), draw.constant(1.0)
    near = draw.put("Less", draw.put("Abs", r), draw.constant(NEAR_ZERO))
    safe = draw.where(near, one, r)
    odds = draw.put("Div", one, draw.put("Sub", one, draw.put("Exp", draw.put("Neg", safe))))
    cube = draw.put("Mul", r, draw.put("Mul", r, r))
    line = draw.put("Add", draw.constant(0.5), draw.put("Div", r, draw.constant(12.0)))
    series = draw.put("Sub", line, draw.put("Div", cube, draw.constant(720.0)))
    return draw.where(near, series, draw.put("Sub", odds, draw.put("Div", one, safe)))


def _of_categories(draw: Drawing, likelihood: Categorical, numbers: Value) -> Value:
    each = draw.constant(np.arange(likelihood.size)[:, None])
    return draw.put("Squeeze", draw.put("MatMul", draw.put("Softmax", numbers, axis=-1), each), draw.integers(3))


# The type of a likelihood -> what draws its mean
WRITERS: dict[type, Callable[[Drawing, Any, Value], Value]] = {
    SquaredError: _first,
    Gaussian: _first,
    Bernoulli: _probability,
    ContinuousBernoulli: _continuous,
    Categorical: _of_categories,
}
