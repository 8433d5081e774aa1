"""A linear layer, and its cross-entropy with label smoothing, written out in NumPy float64 with their gradients.

The smoothed target of a row is (1 - e) onehot(t) + e / V (Szegedy et al. 2016, arXiv:1512.00567, section 7); its
cross-entropy with softmax(z) has the gradient softmax(z) - target with respect to z.
"""

from __future__ import annotations

import numpy as np


def loss(x, weight, bias, targets, *, smoothing=0.0, upstream=None):
    """Nats of each row, and the gradients of sum(upstream * nats) to x, weight and bias."""
    x, weight, bias = (np.asarray(a, np.float64) for a in (x, weight, bias))
    M, V = len(x), len(weight)
    nats, d_z = np.zeros(M), np.zeros((M, V))
    for m in range(M):
        z = np.array([bias[v] + np.dot(weight[v], x[m]) for v in range(V)])
        log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
        target = np.full(V, smoothing / V)
        target[targets[m]] += 1.0 - smoothing
        nats[m] = -(target * log_p).sum()
        d_z[m] = (1.0 if upstream is None else upstream[m]) * (np.exp(log_p) - target)
    return nats, d_z @ weight, d_z.T @ x, d_z.sum(0)


def linear(x, weight, bias, d_y):
    """x W^T + b, and the gradients of sum(d_y * y) to x, weight and bias."""
    x, weight, bias, d_y = (np.asarray(a, np.float64) for a in (x, weight, bias, d_y))
    return x @ weight.T + bias, d_y @ weight, d_y.T @ x, d_y.sum(0)
