"""How many steps a series takes to repeat itself, by its autocorrelation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Where the autocorrelation tells nothing; the steps that are looked at; the lags; those that count.
UNKNOWN, STEPS, LAGS, SHORTEST, LONGEST = 125, 20_000, 400, 6, 303


def period(values: NDArray[np.float64]) -> int:
    """The lag, of 6 to 303, at the highest peak of the autocorrelation of the first 20,000 steps (T,); else 125.

    A rule of Liu & Paparrizos 2024 (TSB-AD), whose windows have this length, for figures beside theirs.
    """
    found = _autocorrelation(values[:STEPS])[3:]
    middle = found[1:-1]
    peaks = np.flatnonzero((middle > found[:-2]) & (middle > found[2:])) + 1
    if not len(peaks):
        return UNKNOWN
    lag = int(peaks[np.argmax(found[peaks])]) + 3
    return lag if SHORTEST <= lag <= LONGEST else UNKNOWN


def _autocorrelation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of lags 0 ... 400: sums of products of what is above the mean, over the sum of squares; zeros if constant."""
    apart = values - values.mean()
    size = 1 << (2 * len(apart) - 1).bit_length()
    power = np.abs(np.fft.rfft(apart, size)) ** 2
    sums = np.fft.irfft(power, size)[: min(LAGS + 1, len(apart))]
    total = float(apart @ apart)
    found: NDArray[np.float64] = sums / total if total > 0 else np.zeros(len(sums))
    return found
