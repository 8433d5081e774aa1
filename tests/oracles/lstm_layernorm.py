"""Layer-normalised LSTM: Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplement eq. 20-22.

(f, i, o, g) = LN(W_h h; a_1, b_1) + LN(W_x x; a_2, b_2) + b
c = s(f) c + s(i) tanh(g);  h = s(o) tanh(LN(c; a_3, b_3))
LN(z; a, b) = (z - mean) / std * a + b, over all four gates at once (eq. 3), std with 1e-5 inside the root.
Packed blocks: input gate, forget gate, cell input, output gate in weight_ih (W_x) and weight_hh (W_h); bias_ih: the
same four (the sum of b, b_1 and b_2, which only occur added), then b_3; gain: a_2 and a_1 of the input gate, of the
forget gate, of the cell input, of the output gate, then a_3.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic

EPSILON = 1e-5


def layer_norm(z: Array, gain: Array, shift: Array | float) -> Array:
    centred = z - z.sum() / len(z)
    return centred / np.sqrt((centred * centred).sum() / len(z) + EPSILON) * gain + shift


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    gains = blocks(packed, "gain", 9, H)
    *shifts, b_3 = blocks(packed, "bias_ih", 5, H)
    return {
        "W_x": packed["weight_ih"],
        "W_h": packed["weight_hh"],
        "a_2": np.concatenate(gains[0:8:2]),
        "a_1": np.concatenate(gains[1:8:2]),
        "a_3": gains[8],
        "b": np.concatenate(shifts),
        "b_3": b_3,
    }


def step(x: Array, states: States, p: Params) -> States:
    h, c = states
    gates = layer_norm(p["W_h"] @ h, p["a_1"], 0.0) + layer_norm(p["W_x"] @ x, p["a_2"], 0.0) + p["b"]
    i, f, g, o = np.split(gates, 4)
    c_new = logistic(f) * c + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(layer_norm(c_new, p["a_3"], p["b_3"])), c_new


LSTM_LAYERNORM = Oracle(("h", "c"), step, unpack)
