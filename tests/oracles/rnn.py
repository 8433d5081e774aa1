"""Elman's network: h_t = s(W_xh x_t + b_x + W_hh h_{t-1} + b_h), with three functions s.

Elman 1990, Finding structure in time, Cognitive Science 14(2); rectified linear units: Le, Jaitly & Hinton 2015.
Packed: one block each of weight_ih (W_xh), weight_hh (W_hh), bias_ih (b_x), bias_hh (b_h).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    (b_x,), (b_h,) = blocks(packed, "bias_ih", 1, H), blocks(packed, "bias_hh", 1, H)
    return {"W_xh": packed["weight_ih"], "W_hh": packed["weight_hh"], "b_x": b_x, "b_h": b_h}


def elman(squash: Callable[[Array], Array]) -> Oracle:
    def step(x: Array, states: States, p: Params) -> States:
        (h,) = states
        return (squash(p["W_xh"] @ x + p["b_x"] + p["W_hh"] @ h + p["b_h"]),)

    return Oracle(("h",), step, unpack)


def rectified(a: Array) -> Array:
    return np.where(a.real > 0, a, 0 * a)


RNN = elman(np.tanh)
RNN_RELU = elman(rectified)
RNN_SIGMOID = elman(logistic)
