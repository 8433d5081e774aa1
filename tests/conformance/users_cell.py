"""A cell as a user writes it, and its oracle: the battery treats it like a built-in one.

It uses what no built-in cell does: constants on both sides, the maximum with a number, log, division by a number a
row, one gate with a second bias and another with none, a gate without recurrent weights, a state that no product reads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic
from recurra.cells import Parameters, Value, cell
from recurra.cells.language import exp, log, maximum, mean, sigmoid, sqrt, tanh


@cell(states=("h", "e"), paper="made up for the tests")
def leaky(x: Value, h: Value, e: Value, p: Parameters) -> Value:
    """A leaky unit with a running energy e that divides its output."""
    a = sigmoid(p.W("a", x) + p.v("a") * h + p.b("a"))
    n = tanh(p.W("n", x) + p.R("n", a * h - h / 3) + p.b("n") + p.b_R("n"))
    e = maximum(e - 0.5, 0.25) + log(1 + exp(-n)) / 2
    return (1 - a) * h + a * n / sqrt(2 - mean(a) + mean(n, h) * mean(n, h)), e


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    W_a, W_n = blocks(packed, "weight_ih", 2, H)
    b_a, b_n = blocks(packed, "bias_ih", 2, H)
    (c_n,) = blocks(packed, "bias_hh", 1, H)
    return {"W_a": W_a, "W_n": W_n, "R": packed["weight_hh"], "v": packed["weight_v"], "b_a": b_a, "b_n": b_n + c_n}


def step(x: Array, states: States, p: Params) -> States:
    h, e = states
    a = logistic(p["W_a"] @ x + p["v"] * h + p["b_a"])
    n = np.tanh(p["W_n"] @ x + p["R"] @ (a * h - h / 3) + p["b_n"])
    e_new = np.where(e.real - 0.5 > 0.25, e - 0.5, 0.25) + np.log(1 + np.exp(-n)) / 2
    both = (n.sum() + h.sum()) / (2 * len(h))
    return (1 - a) * h + a * n / np.sqrt(2 - a.sum() / len(a) + both * both), e_new


LEAKY = Oracle(("h", "e"), step, unpack)
