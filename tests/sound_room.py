"""Sound files for tests: tones in noise, written by the package soundfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed; it comes with recurra[test]")


def tone(pitch: float, samples: int, *, rate: int = 8_000, seed: int = 0) -> Any:
    """(samples,) in -1..1."""
    noise = 0.01 * np.random.default_rng(seed).normal(size=samples)
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(samples) / rate) + noise


def put(path: Path, samples: Any, *, rate: int = 8_000, subtype: str | None = None) -> Path:
    """A file of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def tones(folder: Path, number: int = 12) -> Path:
    """Low and high tones of different lengths, by class."""
    for k in range(number):
        for name, pitch in (("low", 300), ("high", 2500)):
            put(folder / name / f"{k}.wav", tone(pitch + 10 * k, 800 + 90 * k, seed=k))
    return folder
