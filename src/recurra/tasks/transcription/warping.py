"""Other lengths of the vocal tract: a spectrum whose middle moves up or down, while its ends stay.

Jaitly & Hinton 2013, "Vocal tract length perturbation (VTLP) improves speech recognition"; the warp is that of an
all-pass filter of first order (Acero & Stern 1991, "Robust speech recognition by normalization of the acoustic space"),
here along the axis of the bands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Places at which the cosines of cepstra are read; their products are of at most twice a frame's numbers.
GRID = 256


def warped(places: NDArray[np.float64], warp: float) -> NDArray[np.float64]:
    """Where each place 0..1 of the axis is read: v + 2/pi atan(a sin(pi v) / (1 - a cos(pi v)))."""
    angle = np.pi * places
    return np.asarray(places + 2 / np.pi * np.arctan(warp * np.sin(angle) / (1 - warp * np.cos(angle))), np.float64)


def of_bands(width: int, warp: float) -> NDArray[np.float64]:
    """(width, width): what makes the bands of a frame from those that were: between two, a straight line."""
    at = np.clip(warped((np.arange(width) + 0.5) / width, warp) * width - 0.5, 0, width - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(width)), 0.0))


def of_cepstra(width: int, warp: float) -> NDArray[np.float64]:
    """(width, width): the same of cepstra: a cosine transform (orthonormal, type 2) of the logarithms of bands."""
    places = (np.arange(GRID) + 0.5) / GRID
    norms = np.where(np.arange(width) == 0, 1.0, np.sqrt(2.0)) / np.sqrt(GRID)
    before = norms * np.cos(np.pi * np.outer(warped(places, warp), np.arange(width)))
    after = norms * np.cos(np.pi * np.outer(places, np.arange(width)))
    return np.asarray(after.T @ before)
