"""CTC in NumPy float64: from the equations of Graves et al. 2006, and by writing down every path."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def loss(logits: Floats, target: list[int], blank: int = 0) -> tuple[float, Floats]:
    """Nats of one row and their gradient. logits: (T, C)

    Equations 6 and 7 (forward), 10 and 11 (backward), 8 (the probability) and 16 (the gradient), in logarithms.
    """
    T, C = logits.shape
    y = log_softmax(logits)
    labels = [blank]
    for unit in target:
        labels += [unit, blank]
    S = len(labels)
    if T == 0:
        return (0.0 if not target else np.inf), np.zeros((0, C))
    alpha, beta = np.full((T, S), -np.inf), np.full((T, S), -np.inf)
    for t in range(T):
        for s in range(S):
            if t == 0:
                alpha[t, s] = y[t, labels[s]] if s < 2 else -np.inf
                continue
            before = [alpha[t - 1, s]] + ([alpha[t - 1, s - 1]] if s else [])
            if s > 1 and labels[s] != blank and labels[s] != labels[s - 2]:
                before.append(alpha[t - 1, s - 2])
            alpha[t, s] = y[t, labels[s]] + np.logaddexp.reduce(before)
    for t in reversed(range(T)):
        for s in range(S):
            if t == T - 1:
                beta[t, s] = y[t, labels[s]] if s > S - 3 else -np.inf
                continue
            after = [beta[t + 1, s]] + ([beta[t + 1, s + 1]] if s + 1 < S else [])
            if s + 2 < S and labels[s] != blank and labels[s] != labels[s + 2]:
                after.append(beta[t + 1, s + 2])
            beta[t, s] = y[t, labels[s]] + np.logaddexp.reduce(after)
    log_p = np.logaddexp.reduce(alpha[-1, max(0, S - 2) :])
    gradient = np.exp(y)
    for t in range(T):
        for s in range(S):
            gradient[t, labels[s]] -= np.exp(alpha[t, s] + beta[t, s] - y[t, labels[s]] - log_p)
    return float(-log_p), gradient


def fast_loss(logits: Floats, target: list[int], blank: int = 0) -> tuple[float, Floats]:
    """The same for long rows: all states of a frame at once."""
    T = len(logits)
    y = log_softmax(logits)
    labels = np.full(2 * len(target) + 1, blank)
    labels[1::2] = target
    skip = np.zeros(len(labels), dtype=bool)
    skip[2:] = (labels[2:] != blank) & (labels[2:] != labels[:-2])
    never = np.full(2, -np.inf)

    def forward(y: Floats, skip: NDArray[np.bool_]) -> Floats:
        alpha = np.full((T, len(labels)), -np.inf)
        alpha[0, :2] = y[0, :2]
        for t in range(1, T):
            padded = np.concatenate([never, alpha[t - 1]])
            two = np.where(skip, padded[:-2], -np.inf)
            alpha[t] = y[t] + np.logaddexp(np.logaddexp(padded[2:], padded[1:-1]), two)
        return alpha

    said = y[:, labels]
    alpha = forward(said, skip)
    back = np.zeros_like(skip)
    back[:-2] = skip[2:]
    beta = forward(said[::-1, ::-1], back[::-1])[::-1, ::-1]
    log_p = np.logaddexp.reduce(alpha[-1, -2:])
    gradient = np.exp(y)
    shares = np.exp(alpha + beta - said - log_p)
    for s, label in enumerate(labels):
        gradient[:, label] -= shares[:, s]
    return float(-log_p), gradient


def collapsed(path: tuple[int, ...], blank: int = 0) -> tuple[int, ...]:
    """Of units that repeat the first, and no blanks (the map B)."""
    return tuple(u for i, u in enumerate(path) if u != blank and (i == 0 or u != path[i - 1]))


def by_paths(logits: Floats, blank: int = 0) -> dict[tuple[int, ...], float]:
    """The probability of every text, by summing over all C^T paths (equation 3)."""
    T, C = logits.shape
    p = np.exp(log_softmax(logits))
    found: dict[tuple[int, ...], float] = {}
    for path in product(range(C), repeat=T):
        text = collapsed(path, blank)
        found[text] = found.get(text, 0.0) + float(np.prod([p[t, unit] for t, unit in enumerate(path)]))
    return found
