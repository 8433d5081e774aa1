"""Convolutions over pictures and their transposes, place by place (Dumoulin & Visin 2016, arXiv:1603.07285)."""

from __future__ import annotations

from typing import Any

import numpy as np


def convolved(x: Any, weight: Any, bias: Any, stride: int, pad: int) -> np.ndarray:
    """(H', W', C') of a picture (H, W, C) and kernels (C', C, k, k); zeros beyond the border."""
    H, W, _ = x.shape
    many, _, k, _ = weight.shape
    found = np.zeros(((H + 2 * pad - k) // stride + 1, (W + 2 * pad - k) // stride + 1, many)) + bias
    for i, j, di, dj in np.ndindex(*found.shape[:2], k, k):
        row, column = i * stride - pad + di, j * stride - pad + dj
        if 0 <= row < H and 0 <= column < W:
            found[i, j] += weight[:, :, di, dj] @ x[row, column]
    return found


def transposed(x: Any, weight: Any, bias: Any, stride: int, pad: int, size: tuple[int, int]) -> np.ndarray:
    """(size, C') of a layer (H, W, C) and kernels (C, C', k, k): the convolution turned round."""
    H, W, C = x.shape
    _, many, k, _ = weight.shape
    found = np.zeros((*size, many)) + bias
    for i, j, c in np.ndindex(H, W, C):
        for di, dj in np.ndindex(k, k):
            row, column = i * stride - pad + di, j * stride - pad + dj
            if 0 <= row < size[0] and 0 <= column < size[1]:
                found[row, column] += x[i, j, c] * weight[c, :, di, dj]
    return found
