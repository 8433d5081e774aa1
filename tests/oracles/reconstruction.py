"""Decoders of autoencoders in NumPy float64, a row at a time; shares nothing with `recurra`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from oracles import gru
from oracles.loop import Array


def gru_decoder(
    weights: Mapping[str, Array], code: Array, steps: int, before: Callable[[int, list[Array]], Array] | None
) -> Array:
    """(T, D P): h_0 = tanh(W z + b), and at each step a GRU reads z and, if it does, what `before` gives it of a step.

    before: of the step's number and what was said so far. Srivastava et al. 2015, arXiv:1502.04681, section 2.
    """
    h = np.tanh(weights["begin.weight"] @ code + weights["begin.bias"])
    cell = gru.unpack({name[:-3]: weights[f"recurrent.{name}"] for name in NAMES})
    said: list[Array] = []
    for t in range(steps):
        x = code if before is None else np.concatenate([code, before(t, said)])
        (h,) = gru.after_step(x, (h,), cell)
        said.append(weights["output.weight"] @ h + weights["output.bias"])
    return np.array(said)


NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def hierarchical_decoder(
    weights: Mapping[str, Array], code: Array, steps: int, bar: int, before: Callable[[int, list[Array]], Array] | None
) -> Array:
    """(T, D P) of a conductor that gives each bar a vector, and a GRU that begins anew in each bar and reads it.

    before: as in `gru_decoder`, over all bars. Roberts et al. 2018, arXiv:1803.05428, section 3.2.
    """
    conductor = gru.unpack({name[:-3]: weights[f"conductor.{name}"] for name in NAMES})
    below = gru.unpack({name[:-3]: weights[f"recurrent.{name}"] for name in NAMES})
    above = np.tanh(weights["begin.weight"] @ code + weights["begin.bias"])
    said: list[Array] = []
    for t in range(steps):
        if t % bar == 0:
            (above,) = gru.after_step(code, (above,), conductor)
            h = np.tanh(weights["begin_bar.weight"] @ above + weights["begin_bar.bias"])
        x = above if before is None else np.concatenate([above, before(t, said)])
        (h,) = gru.after_step(x, (h,), below)
        said.append(weights["output.weight"] @ h + weights["output.bias"])
    return np.array(said)
