"""Attention written out from the papers, one query and one sequence at a time, positions counted from 0.

A score maps (query (Q,), positions (T, M), params) to T numbers; `attend` makes weights and a context of them.
Analytic functions only, so that the complex step differentiates them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oracles.loop import Array, Params, logistic

Score = Callable[[Array, Array, Params], Array]


def dot(q: Array, H: Array, p: Params) -> Array:
    """Luong et al. 2015, eq. 8, first line."""
    return np.array([np.sum(q * h) for h in H])


def general(q: Array, H: Array, p: Params) -> Array:
    """Luong et al. 2015, eq. 8, second line: W_a is (Q, M)."""
    return np.array([np.sum(q * (p["W_a"] @ h)) for h in H])


def concat(q: Array, H: Array, p: Params) -> Array:
    """Luong et al. 2015, eq. 8, third line: W_a is (A, Q + M)."""
    return np.array([np.sum(p["v_a"] * np.tanh(p["W_a"] @ np.concatenate([q, h]))) for h in H])


def additive(q: Array, H: Array, p: Params) -> Array:
    """Bahdanau et al. 2015, A.1.2, with the bias that A.1 leaves out of the equations."""
    return np.array([np.sum(p["v_a"] * np.tanh(p["W_a"] @ q + p["U_a"] @ h + p["b"])) for h in H])


def covered(coverage: Array) -> Score:
    """See et al. 2017, eq. 11: the score of a step whose coverage is (T,)."""

    def score(q: Array, H: Array, p: Params) -> Array:
        pairs = zip(H, coverage, strict=True)
        return np.array(
            [np.sum(p["v_a"] * np.tanh(p["U_a"] @ h + p["W_a"] @ q + p["w_c"] * c + p["b"])) for h, c in pairs]
        )

    return score


def scaled_dot(q: Array, H: Array, p: Params) -> Array:
    """Vaswani et al. 2017, eq. 1."""
    return np.array([np.sum(q * h) / len(q) ** 0.5 for h in H])


def softmax(scores: Array) -> Array:
    """exp over its sum; nothing for nothing."""
    e = np.exp(scores - np.max(scores.real)) if len(scores) else scores
    return e / np.sum(e) if len(scores) else scores


def everywhere(score: Score, q: Array, H: Array, p: Params) -> Array:
    """Bahdanau et al. 2015, eq. 6; Luong et al. 2015, eq. 7."""
    return softmax(score(q, H, p))


def local_monotonic(score: Score, q: Array, H: Array, p: Params, *, t: int, D: int) -> Array:
    """Luong et al. 2015, section 3.2: the softmax over the part of [t - D, t + D] that is in the sentence."""
    weights = np.zeros(len(H), dtype=np.result_type(q, H))
    centre = min(t, len(H) - 1)
    window = [s for s in range(len(H)) if abs(s - centre) <= D]
    weights[window] = softmax(score(q, H[window], p))
    return weights


def local_predictive(score: Score, q: Array, H: Array, p: Params, *, D: int, normalize: bool) -> Array:
    """Luong et al. 2015, eq. 9-10, with S the length of the sentence and sigma = D / 2."""
    weights = np.zeros(len(H), dtype=np.result_type(q, H, *p.values()))
    centre = len(H) * logistic(np.sum(p["v_p"] * np.tanh(p["W_p"] @ q)))
    window = [s for s in range(len(H)) if abs(s - centre.real) <= D]
    sigma = D / 2
    align = softmax(score(q, H[window], p))
    weights[window] = [a * np.exp(-((s - centre) ** 2) / (2 * sigma**2)) for a, s in zip(align, window, strict=True)]
    return weights / np.sum(weights) if normalize and len(H) else weights


def multi_head(q: Array, H: Array, p: Params, heads: int) -> tuple[Array, Array]:
    """Vaswani et al. 2017, section 3.2.2: the context, and the mean of the heads' weights."""
    d = len(q) // heads
    parts, all_weights = [], []
    for k in range(heads):
        rows = slice(k * d, (k + 1) * d)
        keys, values = H @ p["W_K"][rows].T, H @ p["W_V"][rows].T
        weights = softmax(scaled_dot(p["W_Q"][rows] @ q, keys, p))
        parts.append(weights @ values)
        all_weights.append(weights)
    return p["W_O"] @ np.concatenate(parts), np.mean(all_weights, axis=0)
