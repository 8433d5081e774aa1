"""Log-mel features on HTK's scale, as torchaudio's MelSpectrogram has them, with a logarithm."""

from __future__ import annotations

from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from recurra.base.option import Opt
from recurra.data.spectra.contract import Band, Channels, Highest, Lowest, Mixing, Rate, Resampling, Samples
from recurra.data.spectra.frames import Bands, banded, centred, hann, triangles

FLOOR = 1e-10


class Htk:
    """Frames around their middle, the sound mirrored at its ends, Hann's window; bands of 2595 log10(1 + f/700), each
    of height 1; natural logarithm, of 1e-10 at least.

    The same as librosa's melspectrogram with htk=True, norm=None and pad_mode="reflect". Source:
    docs.pytorch.org/audio, transforms.MelSpectrogram, with its defaults but for `bands`, of which 128 are more than 400
    samples tell apart.
    """

    causal = False

    def __init__(
        self,
        *,
        rate: Rate,
        bands: Annotated[int, Opt("bands, numbers of a step", ge=1, le=512)] = 40,
        n_fft: Annotated[int, Opt("samples of a frame", ge=2, le=65_536)] = 400,
        hop: Annotated[int, Opt("samples from one frame to the next", ge=1, le=65_536)] = 200,
        lowest: Lowest = 0.0,
        highest: Highest = None,
        channels: Mixing = "refuse",
        resample: Resampling = False,
    ) -> None:
        self.rate, self.num_features = rate, bands
        self.channels: Channels = channels
        self.resample = resample
        self.window, self.step = n_fft, hop
        self._band = Band.of(lowest, highest, rate)

    def frames(self, samples: int) -> int:
        """One for every hop, and one at the beginning; none of a sound that is too short to be mirrored."""
        half = self.window // 2
        return 0 if samples <= half else 1 + (samples + 2 * half - self.window) // self.step

    def __call__(self, samples: Samples) -> NDArray[np.float32]:
        """(T, bands) of samples (S,) in -1..1."""
        if not self.frames(len(samples)):
            return np.zeros((0, self.num_features), np.float32)
        bands = _bands(self.num_features, self.rate, self.window, self._band)
        frames = centred(samples, self.window, self.step, "reflect")
        power = banded(frames, lambda x: x * hann(self.window), self.window, bands)
        return np.log(np.maximum(power, FLOOR)).astype(np.float32)

    def said(self) -> str:
        """For a report."""
        return f"log-mel features on HTK's scale: {self.num_features} bands, {self.window} samples every {self.step}"


@cache
def _bands(number: int, rate: int, n_fft: int, band: Band) -> Bands:
    mels = np.linspace(_mel(band.lowest), _mel(band.highest), number + 2)
    edges = 700.0 * (10 ** (mels / 2595.0) - 1)
    return Bands.of(triangles(edges, np.arange(n_fft // 2 + 1) * (rate / n_fft)))


def _mel(frequency: float) -> float:
    return float(2595.0 * np.log10(1 + frequency / 700.0))
