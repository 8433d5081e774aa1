"""Exact derivatives of an oracle by the complex step: f'(v) = Im f(v + i e) / e, with no cancellation, so e = 1e-30.

Squire & Trapp 1998, Using complex variables to estimate derivatives of real functions, SIAM Review 40(1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oracles.loop import Array

STEP = 1e-30


def gradients(f: Callable[[dict[str, Array]], complex], at: dict[str, Array]) -> dict[str, Array]:
    """df/dv for every number of every array in `at`; f maps such arrays to one number."""
    found = {name: np.zeros(value.shape) for name, value in at.items()}
    for name, value in at.items():
        for place in np.ndindex(value.shape):
            moved = value.astype(complex)
            moved[place] += 1j * STEP
            found[name][place] = f({**at, name: moved}).imag / STEP
    return found
