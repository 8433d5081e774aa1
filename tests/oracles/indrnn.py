"""The independently recurrent network: Li et al. 2018, arXiv:1803.04831, eq. 2: h_t = relu(W x_t + u * h_{t-1} + b).

Packed: weight_ih (W), weight_v (u, one number a unit), bias_ih (b); there is no weight_hh.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks


def unpack(packed: Mapping[str, Array]) -> Params:
    (b,) = blocks(packed, "bias_ih", 1, len(packed["weight_v"]))
    return {"W": packed["weight_ih"], "u": packed["weight_v"], "b": b}


def step(x: Array, states: States, p: Params) -> States:
    (h,) = states
    a = p["W"] @ x + p["u"] * h + p["b"]
    return (np.where(a.real > 0, a, 0 * a),)


INDRNN = Oracle(("h",), step, unpack)
