"""Log-mel features as librosa has them: power_to_db(melspectrogram(y)), with Slaney's scale and area."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from recurra.base.option import Opt
from recurra.data.spectra.contract import Band, Channels, Highest, Lowest, Mixing, Rate, Resampling, Samples
from recurra.data.spectra.frames import Array, Bands, banded, centred, hann, triangles

FLOOR = 1e-10


class Librosa:
    """Frames around their middle, zeros at the ends, Hann's window; bands that are linear to 1 kHz and logarithmic
    above, of equal area; decibels, cut `top_db` below the loudest.

    Source: librosa.org, 0.11, feature.melspectrogram and power_to_db with their defaults.
    """

    causal = False

    def __init__(
        self,
        *,
        rate: Rate,
        bands: Annotated[int, Opt("bands, numbers of a step", ge=1, le=512)] = 128,
        n_fft: Annotated[int, Opt("samples of a frame; even", ge=2, le=65_536)] = 2048,
        hop: Annotated[int, Opt("samples from one frame to the next", ge=1, le=65_536)] = 512,
        top_db: Annotated[
            float | None, Opt("decibels below the loudest number of a sound, under which all is cut; null: none", ge=0)
        ] = 80.0,
        lowest: Lowest = 0.0,
        highest: Highest = None,
        channels: Mixing = "refuse",
        resample: Resampling = False,
    ) -> None:
        self.rate, self.num_features = rate, bands
        self.channels: Channels = channels
        self.resample = resample
        self.window, self.step, self._top_db = n_fft, hop, top_db
        self._band = Band.of(lowest, highest, rate)

    def frames(self, samples: int) -> int:
        """One for every hop, and one at the beginning; none of no sample."""
        return 0 if samples < 1 else 1 + (samples + 2 * (self.window // 2) - self.window) // self.step

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(T, bands) of samples (S,) in -1..1."""
        if not len(samples):
            return np.zeros((0, self.num_features), np.float32)
        bands = _bands(self.num_features, self.rate, self.window, self._band)
        frames = centred(samples, self.window, self.step, "constant")
        power = banded(frames, lambda x: x * hann(self.window), self.window, bands)
        decibels = 10 * np.log10(np.maximum(power, FLOOR))
        if self._top_db is not None:
            decibels = np.maximum(decibels, decibels.max() - self._top_db)
        return decibels.astype(np.float32)

    def said(self) -> str:
        """For a report."""
        return f"log-mel features as librosa: {self.num_features} bands, {self.window} samples every {self.step}"


@cache
def _bands(number: int, rate: int, n_fft: int, band: Band) -> Bands:
    edges = _hz(np.linspace(_mel(band.lowest), _mel(band.highest), number + 2))
    area = 2.0 / (edges[2:] - edges[:-2])
    weights: Array = triangles(edges, np.arange(n_fft // 2 + 1) * (rate / n_fft)) * area[:, None]
    return Bands.of(weights)


# Slaney's scale: 200/3 Hz a mel up to 1,000 Hz, then 27 mels for each factor of 6.4.
_LINEAR, _BREAK, _STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _mel(frequency: float) -> float:
    if frequency < _BREAK:
        return frequency / _LINEAR
    return float(_BREAK / _LINEAR + np.log(frequency / _BREAK) / _STEP)


def _hz(mels: Array) -> Array:
    above = mels - _BREAK / _LINEAR
    return np.where(above < 0, mels * _LINEAR, _BREAK * np.exp(_STEP * above))
