"""The guide of numbers works from its pictures to the answers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from guide_room import Guide

TINY = ["--set", "training.epochs=1", "--set", "model.encoder.sizes=[8]"]


def test_the_guide_of_numbers_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("numbers.md", tmp_path, monkeypatch, TINY)
    monkeypatch.setattr("recurra.tasks.series_regression.baselines.TREES", 2)
    guide.text = guide.text.replace("range(3000)", "range(60)")
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "evaluate", "predict"]
    guide.run(capsys)
    assert "predicted_width" in next(csv.reader(Path("predicted.csv").read_text(encoding="utf-8").splitlines()))
    config = Path("config.yaml").read_text(encoding="utf-8")
    for line in ("boxes: true", "flatten: true", "name: dense", "sizes: "):
        assert line in config
