"""The minimal gated unit: Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420, eq. 6a-6c, on concatenated [h, x] as there.

f = logistic(W_f [h, x] + b_f);  h~ = tanh(W_h [f h, x] + b_h);  h' = (1 - f) h + f h~
Packed blocks: f, then the candidate, in weight_ih (the x part), weight_hh (the h part) and bias_ih.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from oracles.loop import Array, Oracle, Params, States, blocks, logistic


def unpack(packed: Mapping[str, Array]) -> Params:
    H = packed["weight_hh"].shape[1]
    of_x, of_h = (blocks(packed, name, 2, H) for name in ("weight_ih", "weight_hh"))
    b_f, b_h = blocks(packed, "bias_ih", 2, H)
    return {"W_f": np.hstack([of_h[0], of_x[0]]), "W_h": np.hstack([of_h[1], of_x[1]]), "b_f": b_f, "b_h": b_h}


def step(x: Array, states: States, p: Params) -> States:
    (h,) = states
    f = logistic(p["W_f"] @ np.concatenate([h, x]) + p["b_f"])
    candidate = np.tanh(p["W_h"] @ np.concatenate([f * h, x]) + p["b_h"])
    return ((1 - f) * h + f * candidate,)


MGU = Oracle(("h",), step, unpack)
