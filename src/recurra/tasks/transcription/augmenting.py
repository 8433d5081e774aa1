"""What training does to a recording: other speeds, noise, hidden stretches; functions of (seed, epoch, recording)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.base.optional import needs
from recurra.data.draws import Draws
from recurra.data.sound import EXTRA
from recurra.tasks.transcription.warping import of_bands, of_cepstra

Floats = NDArray[np.float32]
# What is drawn, each from numbers of its own.
SPEED, LOUDNESS, NOISE, TIMES, BANDS, WARP, STRETCHES = 30, 31, 32, 33, 34, 35, 36
# Decibels between the loudest noise and the quietest.
RANGE = 20.0
# The power of noise falls with this power of the frequency at most; 1: pink, 2: brown.
MOST_COLOUR = 2.0
# Frames that one mask of time hides at most, as a share of the recording (Park et al. 2019, p = 0.2).
MOST_HIDDEN = 0.2


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is drawn for each recording of an epoch. speed: by which share it is slower or faster at most

    noise_db: the least decibels that speech is above white noise; None: no noise
    noise_stretches: it is in so many stretches, each of its own loudness and colour; 0: all along, and white
    time_masks, band_masks: stretches of frames, and of the numbers of a frame, that are hidden; each of 0 to
    `..._width` of them, drawn anew (SpecAugment: Park et al. 2019, arXiv:1904.08779)
    warp: how far the middle of a spectrum moves at most (`warping`)      cepstra: frames are cepstra and not bands
    """

    speed: float = 0.0
    noise_db: float | None = None
    time_masks: int = 0
    time_mask_width: int = 0
    band_masks: int = 0
    band_mask_width: int = 0
    warp: float = 0.0
    cepstra: bool = False
    noise_stretches: int = 0

    @property
    def acts(self) -> bool:
        return bool(self.speed or self.noise_db is not None or self.time_masks or self.band_masks or self.warp)

    def of(self, seed: int, epoch: int, recording: bytes) -> Drawn:
        """What is drawn for a recording, by its digest."""
        return Drawn(self, Draws(seed, epoch, recording))


@dataclass(frozen=True, slots=True)
class Drawn:
    """The same for one recording of one epoch."""

    how: Augmentation
    draws: Draws

    @property
    def factor(self) -> float:
        """How much faster it is played."""
        return 1.0 + self.how.speed * (2.0 * float(self.draws.uniform(1, SPEED)[0]) - 1.0) if self.how.speed else 1.0

    def samples(self, samples: Floats, rate: int) -> Floats:
        """A sound at another speed, and so at another pitch, with white noise. Raises ConfigError without soxr."""
        if self.how.speed:
            soxr = needs("soxr", EXTRA, "task.speed: another speed of a sound")
            samples = np.asarray(soxr.resample(samples, rate * self.factor, rate), np.float32)
        if self.how.noise_db is None or not len(samples):
            return samples
        deviation = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
        noise = self._noise(len(samples)) if not self.how.noise_stretches else self._noise_that_comes(len(samples))
        noisy: Floats = (samples + deviation * noise).astype(np.float32)
        return noisy

    def _noise(self, number: int) -> NDArray[np.float64]:
        """White, all along, for a sound whose deviation is 1."""
        return self._share(float(self.draws.uniform(1, LOUDNESS)[0])) * self.draws.normals(number, NOISE)

    def _noise_that_comes(self, number: int) -> NDArray[np.float64]:
        """From somewhere to somewhere, or to the end, rising or fading: as a fan, a breath, a car has it."""
        u = self.draws.uniform(5 * self.how.noise_stretches, STRETCHES).reshape(-1, 5)
        found = np.zeros(number)
        for k, (first, last, loud, colour, fade) in enumerate(u):
            begin, end = sorted((int(first * number), int(last * 1.25 * number)))
            one = coloured(self.draws.normals(number, NOISE, k + 1)[begin:end], MOST_COLOUR * colour)
            rising, falling = min(1.0, 2 * fade), min(1.0, 2 - 2 * fade)  # one of them is 1, the other its least
            found[begin:end] += self._share(loud) * one * np.linspace(rising, falling, len(one))
        return found

    def _share(self, loud: float) -> float:
        """Of the sound's deviation. loud: from 0, the loudest, to 1"""
        assert self.how.noise_db is not None
        return float(10 ** (-(self.how.noise_db + RANGE * loud) / 20))

    def frames(self, raw: Floats) -> Floats:
        """Features at another speed: between two frames, a straight line."""
        if not self.how.speed or len(raw) < 2:
            return raw
        number = max(round(len(raw) / self.factor), 1)
        at = np.linspace(0, len(raw) - 1, number)
        low = np.minimum(at.astype(np.int64), len(raw) - 2)
        share = (at - low)[:, None]
        return np.asarray((1 - share) * raw[low] + share * raw[low + 1], np.float32)

    def spectra(self, raw: Floats) -> Floats:
        """Frames (F, width) as another length of the vocal tract has them."""
        if not self.how.warp:
            return raw
        warp = self.how.warp * (2.0 * float(self.draws.uniform(1, WARP)[0]) - 1.0)
        matrix = (of_cepstra if self.how.cepstra else of_bands)(raw.shape[1], warp)
        return np.asarray(raw @ matrix.T.astype(np.float32), np.float32)

    def hidden(self, steps: int, width: int) -> NDArray[np.bool_] | None:
        """(steps, width): the numbers that are hidden; None where nothing is."""
        if not self.how.time_masks and not self.how.band_masks:
            return None
        found = np.zeros((steps, width), bool)
        widest = min(self.how.time_mask_width, int(MOST_HIDDEN * steps))
        for first, last in self._stretches(self.how.time_masks, widest, steps, TIMES):
            found[first:last] = True
        for first, last in self._stretches(self.how.band_masks, min(self.how.band_mask_width, width), width, BANDS):
            found[:, first:last] = True
        return found

    def _stretches(self, number: int, widest: int, of: int, purpose: int) -> list[tuple[int, int]]:
        u = self.draws.uniform(2 * number, purpose)
        sizes = (u[:number] * (widest + 1)).astype(np.int64)
        firsts = (u[number:] * (of - sizes + 1)).astype(np.int64)
        return [(int(a), int(a + n)) for a, n in zip(firsts, sizes, strict=True)]


def coloured(white: NDArray[np.float64], colour: float) -> NDArray[np.float64]:
    """Noise whose power falls with this power of the frequency, of deviation 1; none of it is a constant."""
    if len(white) < 2:
        return np.zeros(len(white))
    waves = np.fft.rfft(white)
    waves *= np.concatenate([[0.0], np.arange(1, len(waves)) ** (-colour / 2)])
    found = np.fft.irfft(waves, len(white))
    return np.asarray(found / found.std())
