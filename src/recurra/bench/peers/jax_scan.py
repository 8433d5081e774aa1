"""JAX: the equations under `jax.lax.scan`, jitted.

The input product is inside the scan: as one product for all steps it made a step up to 2.4 times as slow, and unrolled
loops were slower still (jaxlib 0.10.2, on a Cascade Lake Xeon).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any, TypeAlias

from recurra.base.errors import ConfigError
from recurra.bench.clock import Work
from recurra.bench.configuration import Configuration
from recurra.bench.problem import Problem

Step: TypeAlias = Callable[[Any, Any, Any], Any]
_threads: int | None = None


def start_jax(threads: int) -> None:
    """Import JAX with a pool of `threads`, once a process.

    XLA reads NPROC when its CPU client starts, and never again; --xla_cpu_multi_thread_eigen=false and
    intra_op_parallelism_threads=1 in XLA_FLAGS left a matrix product on both cores (jaxlib 0.10.2).
    Raises ConfigError if JAX already runs with another number.
    """
    global _threads
    if _threads is not None and _threads != threads:
        raise ConfigError(f"threads: JAX runs with {_threads} in this process and cannot change; start a new one.")
    if _threads is None:
        before = os.environ.get("NPROC")
        os.environ["NPROC"] = str(threads)
        os.environ["JAX_PLATFORMS"] = "cpu"
        importlib.import_module("jax").devices()
        _restore("NPROC", before)
        _threads = threads


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


class JaxScan:
    """Equations under jax.lax.scan; a jitted step in mode "stream"."""

    doc = "equations under jax.lax.scan, jitted, the input product inside; padded where lengths vary"
    packages = ("jax",)

    def start(self, threads: int) -> None:
        start_jax(threads)

    def refuses(self, configuration: Configuration) -> bool:
        return configuration.cell not in EQUATIONS

    def work(self, problem: Problem) -> Work:
        jax = importlib.import_module("jax")
        step, num_states = EQUATIONS[problem.configuration.cell]
        weights = [[_natural(one) for one in layer] for layer in problem.weights]
        x = jax.numpy.asarray(problem.x)
        zeros = (jax.numpy.zeros((x.shape[1], problem.configuration.H)),) * num_states

        def forward(x: Any, weights: Any) -> Any:
            for layer in weights:
                outputs = [_scan(step, zeros, x, w, reverse=k == 1) for k, w in enumerate(layer)]
                x = jax.numpy.concatenate(outputs, -1) if len(outputs) > 1 else outputs[0]
            return x

        if problem.configuration.mode == "stream":
            one = jax.jit(lambda x, states, w: step(_input_products(x, w), states, w))
            return lambda: jax.block_until_ready(one(x[0], zeros, weights[0][0]))
        return jitted_work(problem, forward, x, weights)


def jitted_work(problem: Problem, forward: Callable[[Any, Any], Any], x: Any, weights: Any) -> Work:
    """Forward alone, or forward and all gradients, compiled. It is called once here: compiling is not measured."""
    jax = importlib.import_module("jax")
    d = jax.numpy.asarray(problem.d_output)

    def step(x: Any, weights: Any, d: Any) -> Any:
        output, backward = jax.vjp(forward, x, weights)
        return output, *backward(d)

    train, infer = jax.jit(step), jax.jit(forward)

    def training() -> tuple[Any, ...]:
        results: tuple[Any, ...] = jax.block_until_ready(train(x, weights, d))
        return results[:2]

    def inference() -> tuple[Any, ...]:
        return (jax.block_until_ready(infer(x, weights)),)

    work = training if problem.configuration.kind.trains else inference
    work()
    return work


def _natural(weights: Any) -> Any:
    """JAX's own orientation: matrices as (inputs, outputs)."""
    jnp = importlib.import_module("jax.numpy")
    return {name: jnp.asarray(w.T.copy()) for name, w in weights.items()}


def _scan(step: Step, zeros: Any, x: Any, w: Any, *, reverse: bool) -> Any:
    lax = importlib.import_module("jax.lax")

    def body(states: Any, x_t: Any) -> Any:
        states = step(_input_products(x_t, w), states, w)
        return states, states[0]

    return lax.scan(body, zeros, x, reverse=reverse)[1]


def _input_products(x: Any, w: Any) -> Any:
    products = x @ w["weight_ih"]
    return products if "gain" in w else products + w["bias_ih"]


def _nn() -> Any:
    return importlib.import_module("jax.nn")


def _np() -> Any:
    return importlib.import_module("jax.numpy")


def _rnn(wx: Any, states: Any, w: Any) -> Any:
    (h,) = states
    return (_np().tanh(wx + h @ w["weight_hh"] + w["bias_hh"]),)


def _lstm(wx: Any, states: Any, w: Any) -> Any:
    h, c = states
    i, f, g, o = _np().split(wx + h @ w["weight_hh"] + w["bias_hh"], 4, -1)
    sigmoid, tanh = _nn().sigmoid, _np().tanh
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru(wx: Any, states: Any, w: Any) -> Any:
    (h,) = states
    x_r, x_z, x_n = _np().split(wx, 3, -1)
    h_r, h_z, h_n = _np().split(h @ w["weight_hh"] + w["bias_hh"], 3, -1)
    sigmoid, tanh = _nn().sigmoid, _np().tanh
    z, n = sigmoid(x_z + h_z), tanh(x_n + sigmoid(x_r + h_r) * h_n)
    return ((1 - z) * n + z * h,)


def _lstm_peephole(wx: Any, states: Any, w: Any) -> Any:
    h, c = states
    i, f, g, o = _np().split(wx + h @ w["weight_hh"], 4, -1)
    v_i, v_f, v_o = _np().split(w["weight_v"], 3)
    sigmoid, tanh = _nn().sigmoid, _np().tanh
    c = sigmoid(f + v_f * c) * c + sigmoid(i + v_i * c) * tanh(g)
    return sigmoid(o + v_o * c) * tanh(c), c


def _gru_reset_before(wx: Any, states: Any, w: Any) -> Any:
    (h,) = states
    H = h.shape[-1]
    sigmoid, tanh = _nn().sigmoid, _np().tanh
    r, z = _np().split(sigmoid(wx[..., : 2 * H] + h @ w["weight_hh"][:, : 2 * H]), 2, -1)
    n = tanh(wx[..., 2 * H :] + (r * h) @ w["weight_hh"][:, 2 * H :])
    return ((1 - z) * n + z * h,)


def _lstm_layernorm(wx: Any, states: Any, w: Any) -> Any:
    h, c = states
    gains, H = w["gain"].reshape(9, -1), c.shape[-1]
    from_x = _normalized(wx) * gains[0:8:2].reshape(-1)
    from_h = _normalized(h @ w["weight_hh"]) * gains[1:8:2].reshape(-1)
    i, f, g, o = _np().split(from_x + from_h + w["bias_ih"][: 4 * H], 4, -1)
    sigmoid, tanh = _nn().sigmoid, _np().tanh
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(_normalized(c) * gains[8] + w["bias_ih"][4 * H :]), c


def _normalized(a: Any) -> Any:
    centred = a - a.mean(-1, keepdims=True)
    return centred / _np().sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)


# The step, and the number of states.
EQUATIONS: dict[str, tuple[Step, int]] = {
    "rnn": (_rnn, 1),
    "lstm": (_lstm, 2),
    "gru": (_gru, 1),
    "lstm_peephole": (_lstm_peephole, 2),
    "gru_reset_before": (_gru_reset_before, 1),
    "lstm_layernorm": (_lstm_layernorm, 2),
}
