"""Long short-term memory: plain, with peepholes, and with a recurrent projection.

Gers, Schmidhuber & Cummins 2000, Learning to forget, Neural Computation 12(10), eq. 1-7, one cell a block: input gate
y_in, forget gate y_phi, output gate y_out, cell input g, cell state s, here with tanh for both squashing functions.
Packed blocks: input gate, forget gate, cell input, output gate, in weight_ih (W_in, W_phi, W_c, W_out), weight_hh
(U_*), bias_ih and bias_hh (a_* and d_*, which are added).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic

ORDER = ("in", "phi", "c", "out")


def unpack(packed: Mapping[str, Array]) -> Params:
    H = len(packed["weight_ih"]) // 4
    found: Params = {}
    for letter, name in (("W", "weight_ih"), ("U", "weight_hh"), ("a", "bias_ih"), ("d", "bias_hh")):
        for gate, block in zip(ORDER, blocks(packed, name, 4, H), strict=True):
            found[f"{letter}_{gate}"] = block
    return found


def net(p: Params, gate: str, x: Array, y: Array) -> Array:
    """What flows into a gate from the input and from the last output."""
    return p[f"W_{gate}"] @ x + p[f"U_{gate}"] @ y + p[f"a_{gate}"] + p[f"d_{gate}"]


def step(x: Array, states: States, p: Params) -> States:
    y, s = states
    y_in = logistic(net(p, "in", x, y))
    y_phi = logistic(net(p, "phi", x, y))
    g = np.tanh(net(p, "c", x, y))
    s_new = y_phi * s + y_in * g
    y_out = logistic(net(p, "out", x, y))
    return y_out * np.tanh(s_new), s_new


LSTM = Oracle(("h", "c"), step, unpack)


# -- Peepholes: Gers & Schmidhuber 2000, Recurrent nets that time and count, IJCNN, section 2. Input and forget gates
#    see s(t-1), the output gate sees s(t). Packed weight_v: w_in, w_phi, w_out, one number a cell; one bias.


def peephole_unpack(packed: Mapping[str, Array]) -> Params:
    H = len(packed["weight_ih"]) // 4
    w_in, w_phi, w_out = blocks(packed, "weight_v", 3, H)
    return unpack(packed) | {"w_in": w_in, "w_phi": w_phi, "w_out": w_out}


def peephole_step(x: Array, states: States, p: Params) -> States:
    y, s = states
    y_in = logistic(net(p, "in", x, y) + p["w_in"] * s)
    y_phi = logistic(net(p, "phi", x, y) + p["w_phi"] * s)
    s_new = y_phi * s + y_in * np.tanh(net(p, "c", x, y))
    y_out = logistic(net(p, "out", x, y) + p["w_out"] * s_new)
    return y_out * np.tanh(s_new), s_new


LSTM_PEEPHOLE = Oracle(("h", "c"), peephole_step, peephole_unpack)


# -- Projection: Sak, Senior & Beaufays 2014, arXiv:1402.1128, eq. 1-7 with W_ic = W_fc = W_oc = 0 (no peepholes):
#    m_t = o_t tanh(c_t), r_t = W_rm m_t, and r recurs. Packed weight_hr: W_rm (P, H).


def projected_unpack(packed: Mapping[str, Array]) -> Params:
    return unpack(packed) | {"W_rm": packed["weight_hr"]}


def projected_step(x: Array, states: States, p: Params) -> States:
    m, c = step(x, states, p)
    return p["W_rm"] @ m, c


LSTM_PROJECTED = Oracle(("h", "c"), projected_step, projected_unpack, widths=("P", "H"))
