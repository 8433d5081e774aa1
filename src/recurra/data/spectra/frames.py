"""Samples cut into frames, power spectra of these, and sums over triangular bands; each frame by itself.

Everything is float64, and no product mixes frames: a frame has the same bits whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Frames whose spectra are in memory together: a second of sound and more, so that its arrays stay in the cache. Of
# fewer the calls take longer; of more the system is asked for memory each time, page by page.
BLOCK = 128


def framed(samples: NDArray[Any], window: int, step: int) -> NDArray[Any]:
    """(T, window), without a copy: frame t begins at sample t * step; a rest that fills no frame is left out."""
    if len(samples) < window:
        return np.zeros((0, window), samples.dtype)
    # Each is whole within the samples. sliding_window_view takes 20 times as long.
    number, apart = 1 + (len(samples) - window) // step, samples.strides[0]
    return as_strided(samples, (number, window), (step * apart, apart), writeable=False)


def centred(samples: NDArray[Any], n_fft: int, hop: int, mode: Any) -> NDArray[Any]:
    """(T, n_fft): frame t has its middle at sample t * hop; the ends are filled as `mode` of numpy.pad says."""
    return framed(np.pad(samples, n_fft // 2, mode=mode), n_fft, hop)


def hann(size: int) -> Array:
    """Of a period of `size` samples, as spectra have it: the first is 0, the last is not."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Weights of bins, band behind band, without zeros. bins, weights: (W,)      starts: (B,) where each band begins"""

    bins: NDArray[np.int64]
    weights: Array
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, weights: Array) -> Bands:
        """Of weights (B, bins); a band without any has one of 0."""
        spans = [_support(row) for row in weights]
        bins = np.concatenate([np.arange(lo, hi) for lo, hi in spans])
        numbers = np.concatenate([row[lo:hi] for row, (lo, hi) in zip(weights, spans, strict=True)])
        return cls(bins, numbers, np.cumsum([0, *(hi - lo for lo, hi in spans[:-1])]))

    def summed(self, power: Array) -> Array:
        """(T, B) of power (T, bins). No matrix product: BLAS sums in another order for another number of frames."""
        found = power.take(self.bins, 1)  # three times as fast as power[:, bins], of the same numbers
        found *= self.weights
        return np.add.reduceat(found, self.starts, axis=1)


def banded(frames: NDArray[Any], ready: Callable[[Array], Array], n_fft: int, bands: Bands) -> Array:
    """(T, B): the power spectrum of each frame, weighted by bands and summed.

    ready: frames (t, window) in float64, which it may change, to those that are transformed
    """
    found = np.empty((len(frames), len(bands.starts)))
    for start in range(0, len(frames), BLOCK):
        part = slice(start, start + BLOCK)
        squares = np.fft.rfft(ready(frames[part].astype(np.float64)), n_fft, axis=1).view(np.float64)
        squares *= squares
        found[part] = bands.summed(squares[:, ::2] + squares[:, 1::2])
    return found


def triangles(edges: Array, frequencies: NDArray[Any]) -> Array:
    """(B, bins): rises from edge k to k + 1 and falls to k + 2; edges (B + 2,) and frequencies (bins,) of one scale."""
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    up = (frequencies - left) / (middle - left)
    down = (right - frequencies) / (right - middle)
    weights: Array = np.maximum(0.0, np.minimum(up, down))
    return weights


def _support(weights: Array) -> tuple[int, int]:
    """First bin with a weight, and the one behind the last."""
    there = np.flatnonzero(weights)
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 1)
