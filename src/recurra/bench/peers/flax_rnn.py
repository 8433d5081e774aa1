"""Flax: `nnx.RNN` with its own cells, jitted; `nnx.Bidirectional` for two directions."""

from __future__ import annotations

import importlib
from typing import Any

from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.peers.jax_scan import jitted_work, start_jax
from recurra.bench.problem import Problem

CELLS = {"rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"}


class FlaxRNN:
    """flax.nnx.RNN(SimpleCell | OptimizedLSTMCell | GRUCell)."""

    doc = "flax.nnx.RNN and its own cells, jitted; padded where lengths vary"
    packages = ("jax", "flax")

    def start(self, threads: int) -> None:
        start_jax(threads)
        importlib.import_module("flax.nnx")

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.cell not in CELLS or configuration.mode == "stream"

    def work(self, problem: Problem) -> Work:
        jnp, nnx = importlib.import_module("jax.numpy"), importlib.import_module("flax.nnx")
        layers = nnx.List([_layer(nnx, problem.configuration.cell, one) for one in problem.weights])
        graph, weights, rest = nnx.split(layers, nnx.Param, ...)

        def forward(x: Any, weights: Any) -> Any:
            for layer in nnx.merge(graph, weights, rest):
                x = layer(x, rngs=nnx.Rngs(0))  # of the initial state, which is zero
            return x

        return jitted_work(problem, forward, jnp.asarray(problem.x), weights)


def _layer(nnx: Any, name: str, directions: Any) -> Any:
    layers = [nnx.RNN(_cell(nnx, name, weights), time_major=True) for weights in directions]
    return nnx.Bidirectional(*layers, time_major=True) if len(layers) > 1 else layers[0]


def _cell(nnx: Any, name: str, weights: Any) -> Any:
    """A cell with the problem's weights: Flax keeps one bias, and matrices as (inputs, outputs)."""
    jnp = importlib.import_module("jax.numpy")
    rows, I = weights["weight_ih"].shape
    cell = getattr(nnx, CELLS[name])(I, weights["weight_hh"].shape[1], rngs=nnx.Rngs(0))
    cell.dense_i.kernel[...] = jnp.asarray(weights["weight_ih"].T.copy())
    cell.dense_h.kernel[...] = jnp.asarray(weights["weight_hh"].T.copy())
    biased = cell.dense_h if name == "lstm" else cell.dense_i
    assert biased.bias.shape == (rows,)
    biased.bias[...] = jnp.asarray(weights["bias_ih"])
    return cell
