"""The guide of music works from its file to the piece that is played."""

from __future__ import annotations

from pathlib import Path

import pytest
import symusic

from guide_room import Guide

TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8"]


def test_the_guide_of_music_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("music.md", tmp_path, monkeypatch, TINY)
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "predict", "generate", "inspect"]
    guide.run(capsys)
    assert sum(len(track.notes) for track in symusic.Score.from_file("song.mid").tracks) >= 3
    assert Path("song.png").read_bytes().startswith(b"\x89PNG")
    config = Path("config.yaml").read_text(encoding="utf-8")
    for option in ("lowest", "highest", "steps_per_quarter"):
        assert f"  {option}: " in config
