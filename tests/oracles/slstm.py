"""The scalar LSTM of xLSTM: Beck et al. 2024, arXiv:2405.04517, eq. 8-17, one head, forget gate logistic.

Two forms. `step` is the stabilised one (eq. 15-17), whose states the library keeps. It begins with the definition's
c = 0 and n = 0, which are exp(m) * 0 for every m: the first m is the first i. `plain_step` is the definition
(eq. 8-14): no m, c and n grow without bound, the outputs are the same. Tests use it to judge the stabiliser.
Packed blocks: input gate, forget gate, cell input, output gate in weight_ih (W_*), weight_hh (R_*), bias_ih (b_*).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    found: Params = {}
    for letter, name in (("W", "weight_ih"), ("R", "weight_hh"), ("b", "bias_ih")):
        for gate, block in zip("ifzo", blocks(packed, name, 4, H), strict=True):
            found[f"{letter}_{gate}"] = block
    return found


def net(p: Params, gate: str, x: Array, h: Array) -> Array:
    return p[f"W_{gate}"] @ x + p[f"R_{gate}"] @ h + p[f"b_{gate}"]


def step(x: Array, states: States, p: Params) -> States:
    h, c, n, m = states
    log_i = net(p, "i", x, h)
    log_f = -np.log(1 + np.exp(-net(p, "f", x, h)))
    empty = n == 0  # of the definition's n = 0, whatever m: the log of what is remembered is minus infinity
    m_new = np.where(~empty & ((log_f + m).real > log_i.real), log_f + m, log_i)
    i_stable = np.exp(log_i - m_new)
    f_stable = np.where(empty, 0, np.exp(np.where(empty, 0, log_f + m - m_new)))
    c_new = f_stable * c + i_stable * np.tanh(net(p, "z", x, h))
    n_new = f_stable * n + i_stable
    return logistic(net(p, "o", x, h)) * (c_new / n_new), c_new, n_new, m_new


def plain_step(x: Array, states: States, p: Params) -> States:
    h, c, n = states
    i, f = np.exp(net(p, "i", x, h)), logistic(net(p, "f", x, h))
    c_new = f * c + i * np.tanh(net(p, "z", x, h))
    n_new = f * n + i
    return logistic(net(p, "o", x, h)) * (c_new / n_new), c_new, n_new


SLSTM = Oracle(("h", "c", "n", "m"), step, unpack)
PLAIN_SLSTM = Oracle(("h", "c", "n"), plain_step, unpack)
