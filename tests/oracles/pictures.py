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


def convolution_gradients(x: Any, weight: Any, d_y: Any, stride: int, pad: int) -> tuple[np.ndarray, ...]:
    """Gradients to a picture (H, W, C), the kernels and their bias, of a loss whose gradient to `convolved` is d_y."""
    H, W, _ = x.shape
    k = weight.shape[2]
    d_x, d_weight = np.zeros(x.shape), np.zeros(weight.shape)
    for i, j, di, dj in np.ndindex(*d_y.shape[:2], k, k):
        row, column = i * stride - pad + di, j * stride - pad + dj
        if 0 <= row < H and 0 <= column < W:
            d_x[row, column] += d_y[i, j] @ weight[:, :, di, dj]
            d_weight[:, :, di, dj] += np.outer(d_y[i, j], x[row, column])
    return d_x, d_weight, d_y.sum((0, 1))


def norm_gradients(x: Any, weight: Any, d: Any, eps: float, *, centred: bool) -> tuple[np.ndarray, ...]:
    """Gradients to x (H, W, C), the weight and the bias of z weight + bias, with z = (x - mean) / sqrt(variance + eps).

    By the matrix of each pixel's derivatives. centred: else without the mean, and the squares' mean for the variance
    """
    C = x.shape[-1]
    middle = np.eye(C) - (1 / C if centred else 0)
    d_x, d_weight = np.zeros(x.shape), np.zeros(C)
    for i, j in np.ndindex(*x.shape[:2]):
        apart = middle @ x[i, j]
        size = np.sqrt(apart @ apart / C + eps)
        derivatives = middle / size - np.outer(apart, middle @ apart) / (C * size**3)
        d_x[i, j] = (d[i, j] * weight) @ derivatives
        d_weight += d[i, j] * apart / size
    return d_x, d_weight, d.sum((0, 1))
