"""How much two boxes share: intersection over union (Everingham et al. 2010, section 4.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def overlaps(truth: Floats, said: Floats) -> Floats:
    """(N,) IoU of boxes (N, 4) as x, y, width, height, sizes from 0 on; 0 where neither box has an area."""
    low = np.maximum(truth[:, :2], said[:, :2])
    high = np.minimum(truth[:, :2] + truth[:, 2:], said[:, :2] + said[:, 2:])
    shared = np.maximum(high - low, 0).prod(1)
    either = truth[:, 2:].prod(1) + said[:, 2:].prod(1) - shared
    found: Floats = np.where(either > 0, shared / np.where(either > 0, either, 1.0), 0.0)
    return found
