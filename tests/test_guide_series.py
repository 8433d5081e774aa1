"""The guide of series works from its file to the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from guide_room import Guide

TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8"]


def test_the_guide_of_series_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("series.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "evaluate", "predict"]
    guide.run(capsys)
    assert len(Path("predicted.csv").read_text(encoding="utf-8").splitlines()) == 201
    config = Path("config.yaml").read_text(encoding="utf-8")
    for line in ("id: recording", "time: time", "label: label"):
        assert line in config
