"""The guide of tagging works from its file to its answers: its commands are run, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guide_room import Guide
from recurra.cli import main

# That the commands work is tested here; how well the model does is measured where the page is written.
TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8", "--set", "model.inputs.embedding_size=8"]
TINY += ["--set", "training.batch_rows=64"]


def test_the_guide_of_tagging_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("tagging.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    words = ["init", "check", "train", "predict", "predict", "predict", "evaluate"]
    assert [typed[0] for typed in guide.commands] == words
    guide.run(capsys)
    found = capsys.readouterr()
    assert "task.file_scheme: auto found bio; the model learns iobes." in found.err
    lines, given = (Path(name).read_text(encoding="utf-8").splitlines() for name in ("found.conll", "trips.conll"))
    assert [line.rpartition(" ")[0] for line in lines] == given, "a column more, and nothing else"
    config = Path("config.yaml").read_text(encoding="utf-8")
    table = guide.text.partition("| option | what it is for |")[2].partition("\n\n")[0]
    options = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| [^|]*", table, re.MULTILINE)))
    assert len(options) > 5
    assert [name for name in options if not re.search(rf"^  {name}:", config, re.MULTILINE)] == []


def test_the_mistake_that_the_guide_shows_is_told_in_these_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("tagging.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    lines = Path("trips.conll").read_text(encoding="utf-8").splitlines()
    place = next(n for n, line in enumerate(lines) if line.endswith("B-PLACE") and lines[n - 1].endswith(" O"))
    lines[place] = lines[place].replace("B-PLACE", "I-PLACE")
    Path("trips.conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["init", "tagging", "trips.conll", "-o", "config.yaml"]) == 0
    capsys.readouterr()
    assert main(["check", "config.yaml"]) == 2
    said = capsys.readouterr().err.replace(f"trips.conll:{place + 1}:", "trips.conll:16:")
    assert any(block in said for block in guide.blocks("text") if "trips.conll:16" in block)
