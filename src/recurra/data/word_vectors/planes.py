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
