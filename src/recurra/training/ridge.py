"""Ridge regression of few rows on many columns, solved at once, its penalty by leaving each row out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Penalties that are tried, on columns of variance 1.
PENALTIES = tuple(10.0 ** np.linspace(-3, 3, 10))
# A column that varies less has no weight.
LEAST = 1e-6


@dataclass(frozen=True, slots=True)
class Ridge:
    """y = x weight + bias. weight: (S, C)      bias: (C,)      penalty: the one that was best      error: its mean
    square when each row is left out
    """

    weight: Floats
    bias: Floats
    penalty: float
    error: float


def ridge(x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any]) -> Ridge:
    """The ridge of rows x (N, S) and y (N, C) at the penalty whose squared error is least when each row is left out.

    weights: (N,) what a row counts. The bias has no penalty, and columns count as if their variance were 1. Solved for
    the rows' multipliers c, (K + p I) c = y with K = x x^T and the penalty p, by the eigenvectors of K; the error of
    a row for all others is p c / (p diag((K + p I)^-1) - its share of the weights).
    Source: Golub, Heath & Wahba 1979, doi 10.2307/1268518, eq. 1.4 (their "ordinary cross-validation").
    """
    w = weights.astype(np.float64) / np.mean(weights)
    root, shares = np.sqrt(w)[:, None], (w / w.sum())[:, None]
    x, y = x.astype(np.float64), y.astype(np.float64)  # x is large, and changed in its place
    means, offsets = shares[:, 0] @ x, (shares * y).sum(0)
    x -= means
    deviation = np.sqrt(np.einsum("n,ns,ns->s", shares[:, 0], x, x))
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > LEAST)
    x *= root
    x *= scale
    y = root * (y - offsets)
    values, vectors = np.linalg.eigh(x @ x.T)
    values, turned = np.maximum(values, 0.0), vectors.T @ y
    best: tuple[float, float, Floats] | None = None
    for penalty in PENALTIES:
        inverse = 1.0 / (values + penalty)
        multipliers = vectors @ (inverse[:, None] * turned)
        kept = penalty * ((vectors**2) @ inverse)[:, None] - shares
        error = float(np.mean((penalty * multipliers / np.maximum(kept, 1e-12)) ** 2))
        if best is None or error < best[1]:
            best = penalty, error, multipliers
    assert best is not None
    weight = (x.T @ best[2]) * scale[:, None]
    return Ridge(weight, offsets - means @ weight, best[0], best[1])
