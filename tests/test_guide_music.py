"""The guide of music works from its file to the piece that is played: its commands are run, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import symusic

from recurra.cli import main
from recurra.report.png import Pictures

PAGE = Path(__file__).resolve().parents[1] / "docs/guide/music.md"
# That the commands work is tested here.
TINY = ["--set", "training.epochs=1", "--set", "model.hidden_size=8"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_guide_of_music_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
    (make_file,) = blocks("python")
    exec(compile(make_file, str(PAGE), "exec"), {})
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert [line.split()[1] for line in lines] == ["init", "check", "train", "predict", "generate"]
    for line in lines:
        words = shlex.split(line)[1:]
        assert main(words + (TINY if words[0] == "train" else [])) == 0, f"{line}: {capsys.readouterr().err}"
    assert sum(len(track.notes) for track in symusic.Score.from_file("song.mid").tracks) >= 3
    config = Path("config.yaml").read_text(encoding="utf-8")
    for option in ("lowest", "highest", "steps_per_quarter"):
        assert f"  {option}: " in config
