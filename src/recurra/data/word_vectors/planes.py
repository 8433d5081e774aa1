"""Vectors as points of a plane, by the two directions in which they differ most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.data.word_vectors.table import Array


def pca(vectors: Array, size: int = 2) -> NDArray[np.float64]:
    """(N, size): the vectors (N, D) along their first principal components, zeros where there are not as many.

    Of the two signs of a component, that with which its largest number is positive. Source: Pearson 1901.
    """
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:size] * np.sign(np.take_along_axis(axes[:size], np.abs(axes[:size]).argmax(1)[:, None], 1))
    found = np.zeros((len(vectors), size))
    found[:, : len(axes)] = centred @ axes.T
    return found


def tsne(vectors: Array, perplexity: float = 15.0, steps: int = 1000) -> NDArray[np.float64]:
    """(N, 2): places at which near vectors (N, D) are near, for some hundred of them; from the principal components.

    perplexity: about how many neighbours a vector has, a third of all at most      steps: of gradient descent
    Source: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE": sections 2 and 3, with momentum, gains, and
    exaggerated affinities for a quarter of the steps.
    """
    places = pca(vectors)
    if len(vectors) < 4:
        return places
    p = affinities(vectors, min(perplexity, len(vectors) / 3))
    places *= 1e-4 / max(float(places[:, 0].std()), 1e-12)
    gains, moved = np.ones_like(places), np.zeros_like(places)
    rate = len(vectors) / 12  # N over the exaggeration (Belkina et al. 2019); at 50, 60 vectors flew apart
    for step in range(steps):
        early = step < steps // 4
        slope = divergence(p * 12 if early else p, places)[1]
        gains = np.maximum(np.where(slope * moved < 0, gains + 0.2, gains * 0.8), 0.01)
        moved = (0.5 if early else 0.8) * moved - rate * gains * slope
        places = places + moved
    return np.asarray(places - places.mean(0))


def affinities(vectors: Array, perplexity: float, *, symmetric: bool = True) -> NDArray[np.float64]:
    """(N, N): how likely each vector takes each other one as a neighbour, with this perplexity (their equations 1, 2).

    symmetric: the mean of both directions, over all pairs 1; otherwise over each row 1
    """
    x = vectors.astype(np.float64)
    squares = (x * x).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    np.fill_diagonal(apart, np.inf)
    apart -= apart.min(1, keepdims=True)
    low, high = np.full(len(x), -60.0), np.full(len(x), 60.0)  # of the logarithm of a Gaussian's precision
    for _ in range(100):
        middle = (low + high) / 2
        share = np.exp(-apart * np.exp(middle)[:, None])
        share /= share.sum(1, keepdims=True)
        entropy = -(share * np.log(np.maximum(share, 1e-300))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    return np.asarray((share + share.T) / (2 * len(x)) if symmetric else share)


def divergence(p: NDArray[np.float64], places: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Kullback and Leibler's divergence of the places' affinities, by Student's t, from p, and its gradient (N, 2)."""
    squares = (places * places).sum(1)
    near = 1 / (1 + np.maximum(squares[:, None] + squares - 2 * places @ places.T, 0))
    np.fill_diagonal(near, 0)
    q = near / near.sum()
    there = p > 0
    nats = float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-300))).sum())
    pull = (p - p.sum() * q) * near
    return nats, np.asarray(4 * (pull.sum(1)[:, None] * places - pull @ places))
