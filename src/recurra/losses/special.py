"""Distribution functions that torch lacks, in NumPy float64: the incomplete beta function, and quantiles by
bisection.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Steps of the continued fraction: its error falls below 1e-14 within them for all a and b up to 1e5.
STEPS = 400
TINY = 1e-300

_lgamma = np.vectorize(math.lgamma, otypes=[np.float64])


def betainc(a: Floats | float, b: Floats | float, x: Floats | float) -> Floats:
    """The regularised incomplete beta function I_x(a, b), a and b positive, x in 0..1.

    By the continued fraction of Lentz, on the side where it converges: DLMF 8.17.22 and 8.17.4.
    """
    A, B, X = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (a, b, x)))
    turned = (A + 1) / (A + B + 2) < X
    p, q, z = np.where(turned, B, A), np.where(turned, A, B), np.where(turned, 1 - X, X)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_front = _lgamma(p + q) - _lgamma(p) - _lgamma(q) + p * np.log(z) + q * np.log1p(-z) - np.log(p)
        front = np.where((z <= 0) | (z >= 1), 0.0, np.exp(log_front))
        part = front * _fraction(p, q, z)
    part = np.where(z >= 1, 1.0, part)
    found: Floats = np.where(turned, 1 - part, part)
    return np.clip(found, 0.0, 1.0)


def _fraction(p: Floats, q: Floats, z: Floats) -> Floats:
    c, d = np.ones_like(z), 1 - (p + q) * z / (p + 1)
    d = 1 / np.where(np.abs(d) < TINY, TINY, d)
    found = d.copy()
    for m in range(1, STEPS):
        for term in (
            m * (q - m) * z / ((p + 2 * m - 1) * (p + 2 * m)),
            -(p + m) * (p + q + m) * z / ((p + 2 * m) * (p + 2 * m + 1)),
        ):
            d = 1 + term * d
            c = 1 + term / c
            d = 1 / np.where(np.abs(d) < TINY, TINY, d)
            c = np.where(np.abs(c) < TINY, TINY, c)
            change = c * d
            found = found * change
        if np.all(np.abs(change - 1) < 1e-15):
            break
    return found


def student_t_cdf(t: Floats, df: Floats) -> Floats:
    """P(T <= t) of Student's distribution."""
    tail = 0.5 * betainc(df / 2, 0.5, df / (df + t * t))
    found: Floats = np.where(t > 0, 1 - tail, tail)
    return found


def student_t_quantile(q: float, df: Floats) -> Floats:
    """t with P(T <= t) = q, to 1e-9 of its size; df over 1e6 as the normal distribution has it."""
    if q == 0.5:
        return np.zeros_like(df)
    df = np.minimum(df, 1e5)  # beyond that the distribution is normal to five digits
    sign, side = (1.0, q) if q > 0.5 else (-1.0, 1 - q)
    high = np.full_like(df, 2.0)
    while (short := student_t_cdf(high, df) < side).any():
        high = np.where(short, high * 2, high)
    low = np.zeros_like(df)
    for _ in range(60):
        middle = (low + high) / 2
        below = student_t_cdf(middle, df) < side
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return sign * (low + high) / 2


def count_quantile(q: float, cdf: Callable[[Floats], Floats], mean: Floats) -> Floats:
    """The smallest whole number k with cdf(k) >= q, by doubling and bisection."""
    low, high = np.full_like(mean, -1.0), np.floor(mean) + 1
    while (short := cdf(high) < q).any():
        high = np.where(short, high * 2 + 1, high)
    while (open_ := high - low > 1).any():
        middle = np.floor((low + high) / 2)
        below = cdf(np.maximum(middle, 0.0)) < q
        low, high = np.where(open_ & below, middle, low), np.where(open_ & ~below, middle, high)
    return high
