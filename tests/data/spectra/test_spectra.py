"""Log-mel features: each definition against its equations in float64 loops, values of the programs that it is named
after, and frames that do not notice one another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from recurra.base.errors import ConfigError
from recurra.data.spectra import SPECTRA, Htk, Kaldi, Librosa

RATE = 8_000
# The logarithm of float32 features; the sums are float64 in both, in another order.
CLOSE = 1e-5


def noise(samples: int, seed: int = 0) -> Any:
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def power(frame: list[float], n_fft: int) -> list[float]:
    """|X_k|^2 by the definition of the transform."""
    padded = np.array(frame + [0.0] * (n_fft - len(frame)))
    turns = np.exp(-2j * math.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft)
    return list(np.abs(turns @ padded) ** 2)


def triangle(at: float, left: float, middle: float, right: float) -> float:
    if not left < at < right:
        return 0.0
    return (at - left) / (middle - left) if at <= middle else (right - at) / (right - middle)


def kaldi_oracle(x: Any, bands: int) -> list[list[float]]:
    """Kaldi's feature-window.cc and mel-computations.cc at 8 kHz: 200 samples every 80, 256 bins."""

    def mel(f: float) -> float:
        return 1127 * math.log(1 + f / 700)

    edges = [mel(20) + k * (mel(4000) - mel(20)) / (bands + 1) for k in range(bands + 2)]
    rows = []
    for start in range(0, len(x) - 199, 80):
        frame = [float(v) * 32768 for v in x[start : start + 200]]
        mean = sum(frame) / 200
        frame = [v - mean for v in frame]
        frame = [v - 0.97 * frame[max(i - 1, 0)] for i, v in enumerate(frame)]
        frame = [v * (0.5 - 0.5 * math.cos(2 * math.pi * i / 199)) ** 0.85 for i, v in enumerate(frame)]
        p = power(frame, 256)
        rows.append(
            [
                math.log(max(sum(triangle(mel(i * RATE / 256), *edges[b : b + 3]) * p[i] for i in range(128)), 1.2e-7))
                for b in range(bands)
            ]
        )
    return rows


def centred_oracle(x: Any, n_fft: int, hop: int, edges: list[float], *, reflect: bool) -> list[list[float]]:
    """Sums over triangles in Hz of frames whose middle is at a multiple of the hop."""
    half = n_fft // 2
    padded = np.pad(x.astype(float), half, mode="reflect" if reflect else "constant")
    rows = []
    for t in range(1 + len(x) // hop):
        frame = [
            float(v) * (0.5 - 0.5 * math.cos(2 * math.pi * i / n_fft))
            for i, v in enumerate(padded[t * hop : t * hop + n_fft])
        ]
        p = power(frame, n_fft)
        rows.append(
            [
                sum(triangle(i * RATE / n_fft, *edges[b : b + 3]) * p[i] for i in range(len(p)))
                for b in range(len(edges) - 2)
            ]
        )
    return rows


def test_kaldi_is_its_equations_written_out() -> None:
    x = noise(700)
    found = Kaldi(rate=RATE, bands=8)(x)
    assert found.shape == (7, 8)
    np.testing.assert_allclose(found, kaldi_oracle(x, 8), atol=CLOSE)


def test_librosa_is_its_equations_written_out() -> None:
    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    x = noise(700)
    x[300:] *= 1e-6  # quieter than top_db lets through
    top = 15 + 27 * math.log(4) / math.log(6.4)  # 4,000 Hz
    edges = [hz(k * top / 9) for k in range(10)]
    rows = centred_oracle(x, 128, 64, edges, reflect=False)
    areas = [2 / (edges[b + 2] - edges[b]) for b in range(8)]
    decibels = [[10 * math.log10(max(v * a, 1e-10)) for v, a in zip(row, areas, strict=True)] for row in rows]
    loudest = max(map(max, decibels))
    cut = [[max(v, loudest - 30) for v in row] for row in decibels]
    found = Librosa(rate=RATE, bands=8, n_fft=128, hop=64, top_db=30)(x)
    np.testing.assert_allclose(found, cut, atol=10 * CLOSE)  # of numbers ten times as large
    whole = Librosa(rate=RATE, bands=8, n_fft=128, hop=64, top_db=None)(x)
    np.testing.assert_allclose(whole, decibels, atol=10 * CLOSE)
    assert (whole < found).any()


def test_htk_is_its_equations_written_out() -> None:
    x = noise(700)
    top = 2595 * math.log10(1 + 4000 / 700)
    edges = [700 * (10 ** (k * top / 9 / 2595) - 1) for k in range(10)]
    rows = centred_oracle(x, 128, 64, edges, reflect=True)
    found = Htk(rate=RATE, bands=8, n_fft=128, hop=64)(x)
    np.testing.assert_allclose(found, np.log(np.maximum(rows, 1e-10)), atol=CLOSE)


@pytest.mark.parametrize("name", list(SPECTRA))
@pytest.mark.parametrize("samples", [0, 1, 63, 199, 200, 201, 279, 280, 1023, 2049, 5000])
def test_a_header_tells_how_many_frames_there_will_be(name: str, samples: int) -> None:
    spectrum = SPECTRA[name](rate=RATE)
    assert spectrum(noise(samples)).shape == (spectrum.frames(samples), spectrum.num_features)


def test_frames_of_a_causal_definition_have_the_same_bits_in_pieces_of_any_size() -> None:
    x, spectrum = noise(4000), Kaldi(rate=RATE, bands=40)
    whole = spectrum(x)
    for size in (1, 7, 20):
        steps = range(0, len(whole), size)
        parts = [spectrum(x[t * 80 : (min(t + size, len(whole)) - 1) * 80 + 200]) for t in steps]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert [one for one in SPECTRA if SPECTRA[one](rate=RATE).causal] == ["kaldi"]


def test_silence_is_a_floor_and_no_infinity() -> None:
    for plan in SPECTRA.values():
        assert np.isfinite(plan(rate=RATE)(np.zeros(4000, np.float32))).all()


def test_bands_that_cannot_be_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"highest: is 5000 Hz with lowest 20 Hz and rate 8000; .* half the rate, 4000"
    ):
        Kaldi(rate=RATE, highest=5000)
    with pytest.raises(ConfigError, match="frame_ms, step_ms: are 0 and 80 samples of 8000 Hz; expected 2 and 1"):
        Kaldi(rate=RATE, frame_ms=0.1)
