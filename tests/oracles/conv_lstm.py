"""An LSTM over maps, step by step (Shi et al. 2015, arXiv:1506.04214, eq. 3), with loops for convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oracles.pictures import convolved


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def run(x: Any, p: Mapping[str, Any], peepholes: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """H of all steps and the last C, of maps (T, H, W, I). p: W (4C, I, k, k), R (4C, C, k, k), b (4C,) as i, f, g, o

    peepholes: of i, f and o, (3, H, W, C)
    """
    gates, pad = len(p["b"]), p["W"].shape[2] // 2
    many = gates // 4
    h = c = np.zeros((*x.shape[1:3], many))
    seen = np.zeros((3, *h.shape)) if peepholes is None else peepholes
    outputs = []
    for now in x:
        made = convolved(now, p["W"], p["b"], 1, pad) + convolved(h, p["R"], np.zeros(gates), 1, pad)
        i = sigmoid(made[..., :many] + seen[0] * c)
        f = sigmoid(made[..., many : 2 * many] + seen[1] * c)
        c = f * c + i * np.tanh(made[..., 2 * many : 3 * many])
        h = sigmoid(made[..., 3 * many :] + seen[2] * c) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), c
