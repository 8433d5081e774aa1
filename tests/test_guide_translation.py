"""The guide of translation works from its file to its answers: its commands are run, in their order."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from guide_room import Guide

# That the commands work is tested here; how well the model does is measured where the page is written.
TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8", "--set", "model.inputs.embedding_size=8"]
TINY += ["--set", "task.beam=1", "--set", "training.batch_rows=256"]


def test_the_guide_of_translation_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("translation.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    assert [words[0] for words in guide.commands] == [
        "init",
        "check",
        "train",
        "predict",
        "predict",
        "predict",
        "evaluate",
    ]
    guide.run(capsys)
    shown = capsys.readouterr().out
    assert re.search(r"\tseven thousand two hundred thirty four\n  2\. ", shown)
    with open("answers.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1500
    assert Path("attention.png").read_bytes().startswith(b"\x89PNG")
    config = Path("config.yaml").read_text(encoding="utf-8")
    for option in re.findall(r"^\| `([^|]*)` \|", guide.text, re.MULTILINE):
        for name in re.findall(r"\w+", option.partition(":")[0]):
            assert re.search(rf"\b{name}\b", config), f"{name}: no option of a translation"
