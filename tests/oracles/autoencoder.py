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


def divergence(mean: np.ndarray, deviation: np.ndarray, number: int = 400_000) -> float:
    """KL(N(m, s^2) || N(0, 1)) of each number, by the midpoint rule, added up."""
    total = 0.0
    for m, s in zip(mean, deviation, strict=True):
        z = m + s * (np.arange(number) + 0.5 - number / 2) / number * 24
        log_q = -0.5 * ((z - m) / s) ** 2 - math.log(s) - 0.5 * math.log(2 * math.pi)
        log_p = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
        total += float((np.exp(log_q) * (log_q - log_p)).sum() * 24 * s / number)
    return total


def importance_bound(mean: np.ndarray, deviation: np.ndarray, noise: np.ndarray, log_likelihood: np.ndarray) -> float:
    """-log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) of one row; noise (K, Z), log_likelihood (K,)."""
    z = mean + deviation * noise
    log_p = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1)
    log_q = (-0.5 * noise**2 - np.log(deviation) - 0.5 * math.log(2 * math.pi)).sum(1)
    return -math.log(float(np.exp(log_likelihood + log_p - log_q).mean()))


def k_sparse(values: np.ndarray, k: int) -> np.ndarray:
    """Rows with all but their k largest numbers as 0 (Makhzani & Frey 2014)."""
    found = np.zeros_like(values)
    for n, row in enumerate(values):
        kept = sorted(range(len(row)), key=lambda j: -row[j])[:k]
        found[n, kept] = row[kept]
    return found
