"""Digits as sounds that recurra makes itself: tones of a telephone, the same on every machine."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.embedded import EMBEDDED, speech, write_csv


@pytest.fixture(autouse=True)
def without_the_program(monkeypatch: Any) -> None:
    monkeypatch.setattr("recurra.data.embedded.speech.spoken", lambda: False)
    monkeypatch.setattr("recurra.data.embedded.speech.ROWS", {"train": 4, "dev": 2, "test": 2})
    speech._texts.cache_clear()
    yield
    speech._texts.cache_clear()


def test_every_digit_has_its_two_tones():
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    (_, content), *_ = EMBEDDED["speech"].files("train")
    samples, rate = soundfile.read(io.BytesIO(content))
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples)
    record = next(EMBEDDED["speech"].records("train"))
    said = {speech.WORDS.index(word) for word in record.fields["text"].split()}
    wanted = {speech.LOW[d] for d in said} | {speech.HIGH[d] for d in said}
    loud = {t: spectrum[round(t * len(samples) / rate) + np.arange(-8, 9)].max() for t in {*speech.LOW, *speech.HIGH}}
    assert min(loud[t] for t in wanted) > max(loud[t] for t in loud.keys() - wanted)


def test_files_lie_beside_the_table_and_are_the_same_each_time(tmp_path: Path):
    first, *_ = write_csv("speech", tmp_path / "a")
    write_csv("speech", tmp_path / "b")
    names = [line.split(",")[0] for line in first.read_text().splitlines()[1:]]
    assert names == [f"speech_train/{k:04d}.wav" for k in range(1, 5)]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
