"""The guide of forecasts works from its file to the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from guide_room import Guide

TINY = ["--set", "training.epochs=1", "--set", "task.windows=64", "--set", "model.encoder.hidden_size=8"]


def test_the_guide_of_forecasting_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("forecasting.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "evaluate", "predict"]
    guide.run(capsys)
    lines = Path("forecast.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "series,time,loaves,loaves_q0.1,loaves_q0.5,loaves_q0.9"
    assert [line.split(",")[:2] for line in lines[1:15:13]] == [["north", "2024-07-19"], ["north", "2024-08-01"]]
    assert len(lines) == 29
    config = Path("config.yaml").read_text(encoding="utf-8")
    for line in ("id: shop", "time: day", "target: loaves", "horizon: 14"):
        assert line in config
