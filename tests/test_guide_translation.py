"""The guide of translation works from its file to its answers: its commands are run, in their order."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from recurra.cli import main
from recurra.report.png import Pictures

PAGE = Path(__file__).resolve().parents[1] / "docs/guide/translation.md"
# That the commands work is tested here; how well the model does is measured where the page is written.
TINY = ["--set", "training.epochs=1", "--set", "model.hidden_size=8", "--set", "model.embedding_size=8"]
TINY += ["--set", "task.beam=1", "--set", "training.batch_rows=256"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_guide_of_translation_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
    (make_file,) = blocks("python")
    exec(compile(make_file, str(PAGE), "exec"), {})
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert [line.split()[1] for line in lines] == [
        "init",
        "check",
        "train",
        "predict",
        "predict",
        "predict",
        "evaluate",
    ]
    for line in lines:
        words = shlex.split(line)[1:]
        assert main(words + (TINY if words[0] == "train" else [])) == 0, f"{line}: {capsys.readouterr().err}"
    shown = capsys.readouterr().out
    assert re.search(r"\tseven thousand two hundred thirty four\n  2\. ", shown)
    with open("answers.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1500
    assert Path("attention.png").read_bytes().startswith(b"\x89PNG")
    config = Path("config.yaml").read_text(encoding="utf-8")
    for option in re.findall(r"^\| `([^|]*)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        for name in re.findall(r"\w+", option.partition(":")[0]):
            assert re.search(rf"\b{name}\b", config), f"{name}: no option of a translation"
