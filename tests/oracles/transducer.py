"""RNN-T in NumPy float64: from the equations of Graves 2012, and by writing down every alignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracles.ctc import log_softmax

Floats = NDArray[np.float64]


def lattice(y: Floats, target: list[int], blank: int) -> tuple[Floats, Floats, float]:
    """Forward and backward variables as logarithms, and ln p. y: (T, U + 1, V) ln p. Equations 16 to 18"""
    T, U = y.shape[0], len(target)
    alpha, beta = np.full((T, U + 1), -np.inf), np.full((T, U + 1), -np.inf)
    for t in range(T):
        for u in range(U + 1):
            ways = [0.0] if t == u == 0 else []
            ways += [alpha[t - 1, u] + y[t - 1, u, blank]] if t else []
            ways += [alpha[t, u - 1] + y[t, u - 1, target[u - 1]]] if u else []
            alpha[t, u] = np.logaddexp.reduce(ways)
    for t in reversed(range(T)):
        for u in reversed(range(U + 1)):
            ways = [y[t, u, blank]] if (t, u) == (T - 1, U) else []
            ways += [beta[t + 1, u] + y[t, u, blank]] if t < T - 1 else []
            ways += [beta[t, u + 1] + y[t, u, target[u]]] if u < U else []
            beta[t, u] = np.logaddexp.reduce(ways)
    return alpha, beta, float(alpha[T - 1, U] + y[T - 1, U, blank])


def loss(logits: Floats, target: list[int], blank: int = 0, fast_emit: float = 0.0) -> tuple[float, Floats]:
    """Nats of one row and their gradient. logits: (T, U + 1, V). Equation 20; FastEmit: Yu et al. 2021, equation 12."""
    T, U = logits.shape[0], len(target)
    y = log_softmax(logits)
    alpha, beta, log_p = lattice(y, target, blank)
    d_y = np.zeros_like(y)
    for t in range(T):
        for u in range(U + 1):
            if t < T - 1 or u == U:
                after = beta[t + 1, u] if t < T - 1 else 0.0
                d_y[t, u, blank] = -np.exp(alpha[t, u] + y[t, u, blank] + after - log_p)
            if u < U:
                share = np.exp(alpha[t, u] + y[t, u, target[u]] + beta[t, u + 1] - log_p)
                d_y[t, u, target[u]] = -(1 + fast_emit) * share
    return -log_p, d_y - np.exp(y) * d_y.sum(2, keepdims=True)


def joint(left: Floats, right: Floats, weight: Floats | None, bias: Floats | None) -> tuple[Floats, Floats]:
    """Logits (T, U + 1, V) of (T, D) and (U + 1, D), and what W is multiplied with."""
    hidden = left[:, None] + right[None]
    if weight is None:
        return hidden, hidden
    hidden = np.tanh(hidden)
    return hidden @ weight.T + (0.0 if bias is None else bias), hidden


def gradients(
    left: Floats, right: Floats, weight: Floats | None, bias: Floats | None, target: list[int], **how: float
) -> tuple[float, list[Floats]]:
    """Nats of one row, and gradients of left, right, and of W and b where they are."""
    logits, hidden = joint(left, right, weight, bias)
    nats, d = loss(logits, target, **how)  # type: ignore[arg-type]
    if weight is None:
        return nats, [d.sum(1), d.sum(0)]
    back = d @ weight * (1 - hidden**2)
    return nats, [back.sum(1), back.sum(0), np.einsum("tuv,tud->vd", d, hidden), d.sum((0, 1))]


def by_alignments(logits: Floats, target: list[int], blank: int = 0) -> float:
    """p by every way through the frames: how many units are said before each frame ends."""
    T, U = logits.shape[0], len(target)
    p = np.exp(log_softmax(logits))

    def ways(t: int, u: int) -> float:
        if t == T:
            return float(u == U)
        total, product = 0.0, 1.0
        for said in range(u, U + 1):
            total += product * p[t, said, blank] * ways(t + 1, said)
            if said < U:
                product *= p[t, said, target[said]]
        return total

    return ways(0, 0)
