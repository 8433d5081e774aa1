"""Autoencoders in NumPy float64, from the papers; shares nothing with `recurra`."""

from __future__ import annotations

import math

import numpy as np


def bernoulli(logit: float, x: float) -> float:
    """-log p^x (1 - p)^(1 - x)"""
    p = 1 / (1 + math.exp(-logit))
    return -(x * math.log(p) + (1 - x) * math.log(1 - p))


def continuous_bernoulli(logit: float, x: float) -> float:
    """-log C(l) l^x (1 - l)^(1 - x), C as in Loaiza-Ganem & Cunningham 2019, equation 6, l = 1 / (1 + e^-logit)."""
    lam = 1 / (1 + math.exp(-logit))
    constant = 2.0 if abs(lam - 0.5) < 1e-9 else 2 * math.atanh(1 - 2 * lam) / (1 - 2 * lam)
    return -(math.log(constant) + x * math.log(lam) + (1 - x) * math.log(1 - lam))


def continuous_bernoulli_mean(logit: float) -> float:
    """By the midpoint rule over x in 0..1."""
    x = (np.arange(200_000) + 0.5) / 200_000
    density = np.exp(logit * x - logit)
    return float((x * density).sum() / density.sum())


def gaussian(mean: float, deviation: float, x: float) -> float:
    """-log N(x; mean, deviation^2)"""
    return 0.5 * ((x - mean) / deviation) ** 2 + math.log(deviation) + 0.5 * math.log(2 * math.pi)


def principal_components(rows: np.ndarray, number: int, read: np.ndarray) -> np.ndarray:
    """Rows again from so many components, by a singular value decomposition of the centred rows."""
    mean = rows.mean(0)
    _, _, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = axes[:number]
    return mean + (read - mean) @ kept.T @ kept
