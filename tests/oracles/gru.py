"""Gated recurrent units. In all three z keeps the old state: h_t = z h_{t-1} + (1 - z) h~_t (Cho et al. 2014, eq. 7).

Packed blocks: reset gate, update gate, candidate (no reset gate in the simple form), in weight_ih (W_r, W_z, W) and
weight_hh (U_r, U_z, U), bias_ih (b_*), and bias_hh (d_*) where the layer has it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    found: Params = {}
    for letter, name in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih"), ("d", "bias_hh")):
        for gate, block in zip(("r", "z", "h"), blocks(packed, name, 3, H), strict=True):
            found[f"{letter}_{gate}"] = block
    return found


def net(p: Params, gate: str, x: Array, h: Array) -> Array:
    return p[f"W_{gate}"] @ x + p[f"b_{gate}"] + p[f"U_{gate}"] @ h + p[f"d_{gate}"]


def mix(z: Array, old: Array, candidate: Array) -> States:
    return (z * old + (1 - z) * candidate,)


# -- Reset after the product: Cho et al. 2014, arXiv:1406.1078v1; cuDNN's form, where d_h stands inside the reset.


def after_step(x: Array, states: States, p: Params) -> States:
    (h,) = states
    r, z = logistic(net(p, "r", x, h)), logistic(net(p, "z", x, h))
    candidate = np.tanh(p["W_h"] @ x + p["b_h"] + r * (p["U_h"] @ h + p["d_h"]))
    return mix(z, h, candidate)


# -- Reset before the product: Cho et al. 2014, arXiv:1406.1078v3, eq. 5-8.


def before_step(x: Array, states: States, p: Params) -> States:
    (h,) = states
    r, z = logistic(net(p, "r", x, h)), logistic(net(p, "z", x, h))
    return mix(z, h, np.tanh(net(p, "h", x, r * h)))


# -- Update gate only: eq. 6-8 with r = 1.


def simple_unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    found: Params = {"d_z": np.zeros(H), "d_h": np.zeros(H)}
    for letter, name in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
        found[f"{letter}_z"], found[f"{letter}_h"] = blocks(packed, name, 2, H)
    return found


def simple_step(x: Array, states: States, p: Params) -> States:
    (h,) = states
    return mix(logistic(net(p, "z", x, h)), h, np.tanh(net(p, "h", x, h)))


GRU = Oracle(("h",), after_step, unpack)
GRU_RESET_BEFORE = Oracle(("h",), before_step, unpack)
GRU_SIMPLE = Oracle(("h",), simple_step, simple_unpack)
