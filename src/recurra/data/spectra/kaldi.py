"""Log-mel features as Kaldi has them (compute-fbank-feats --dither=0), each frame from its own samples alone."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.data.spectra.contract import Band, Channels, Highest, Lowest, Mixing, Rate, Resampling, Samples
from recurra.data.spectra.frames import Array, Bands, banded, framed, triangles

# Kaldi reads 16-bit samples as whole numbers, and its logarithm has the float32 epsilon for a floor.
FULL_SCALE, FLOOR = 32768.0, float(np.finfo(np.float32).eps)
PREEMPHASIS = 0.97


class Kaldi:
    """Frames that end with the sound (snip_edges), without their mean, pre-emphasis .97, Povey's window; bands of
    1127 ln(1 + f/700), triangles in mel, natural logarithm. No noise is added: Kaldi's default, dither 1, is random.

    Source: kaldi-asr.org, feat/feature-window.cc and feat/mel-computations.cc.
    """

    causal = True

    def __init__(
        self,
        *,
        rate: Rate,
        bands: Annotated[int, Opt("bands, numbers of a step", ge=1, le=512)] = 23,
        frame_ms: Annotated[float, Opt("length of a frame, in ms", gt=0, le=1000)] = 25.0,
        step_ms: Annotated[float, Opt("from one frame to the next, in ms", gt=0, le=1000)] = 10.0,
        lowest: Lowest = 20.0,
        highest: Highest = None,
        channels: Mixing = "refuse",
        resample: Resampling = False,
    ) -> None:
        self.rate, self.num_features = rate, bands
        self.channels: Channels = channels
        self.resample = resample
        self.window, self.step = int(rate * 0.001 * frame_ms), int(rate * 0.001 * step_ms)
        if self.window < 2 or self.step < 1:
            raise ConfigError(
                f"frame_ms, step_ms: are {self.window} and {self.step} samples of {rate} Hz; expected 2 and 1 at least."
            )
        self._n_fft = 1 << (self.window - 1).bit_length()
        self._band = Band.of(lowest, highest, rate)

    def frames(self, samples: int) -> int:
        """Whole ones alone."""
        return 0 if samples < self.window else 1 + (samples - self.window) // self.step

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(T, bands) of samples (S,) in -1..1."""
        bands = _bands(self.num_features, self.rate, self._n_fft, self._band)
        frames = framed(samples, self.window, self.step)
        found = banded(frames, self._ready, self._n_fft, bands)
        return np.log(np.maximum(found, FLOOR, out=found), out=found).astype(np.float32)

    def said(self) -> str:
        """For a report."""
        return f"log-mel features as Kaldi: {self.num_features} bands, {self.window} samples every {self.step}"

    def _ready(self, frames: Array) -> Array:
        frames -= np.add.reduce(frames, 1, keepdims=True) / self.window  # as frames.mean, which takes longer to begin
        before = PREEMPHASIS * frames[:, :-1]
        frames[:, 0] -= PREEMPHASIS * frames[:, 0]
        frames[:, 1:] -= before
        frames *= _povey(self.window)
        return frames


@cache
def _povey(size: int) -> Array:
    window: Array = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))) ** 0.85
    return window


@cache
def _bands(number: int, rate: int, n_fft: int, band: Band) -> Bands:
    """(number, n_fft / 2 + 1); the bin of half the rate has no weight, as Kaldi leaves it out.

    Of samples in -1..1: the squares of whole numbers are as much larger as a power of two, so that no bit is another.
    """
    edges = np.linspace(_mel(np.array(band.lowest)), _mel(np.array(band.highest)), number + 2)
    weights = triangles(edges, _mel(np.arange(n_fft // 2 + 1) * rate / n_fft))
    weights[:, -1] = 0
    return Bands.of(weights * FULL_SCALE**2)


def _mel(frequency: Array) -> Array:
    mels: Array = 1127.0 * np.log1p(frequency / 700.0)
    return mels
