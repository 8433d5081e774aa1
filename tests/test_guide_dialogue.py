"""The guides of dialogue, autocomplete and summaries work from their files to their answers."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from guide_room import Guide
from recurra import api

# That the commands work is tested here; how well the models do is measured where the pages are written.
TINY = ["--set", "training.epochs=1", "--set", "model.encoder.hidden_size=8", "--set", "model.inputs.embedding_size=8"]
ROWS = ["--set", "training.batch_rows=256"]


def test_the_guide_of_dialogue_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("dialogue.md", tmp_path, monkeypatch, [*TINY, *ROWS])
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "chat"]
    monkeypatch.setattr("sys.stdin", io.StringIO("I have a little boat.\nzebras everywhere\n"))
    guide.run(capsys)
    *_, reply, refusal = capsys.readouterr().out.splitlines()
    assert reply
    assert refusal == "I have learned nothing near that."
    chat = api.chat("runs/talks", temperature=0.8, seed=1, device="cpu")
    assert [*chat.say("I have a red boat.")][-1].near > 0
    for word in re.findall(r"`(recall_at_\d|distinct_\d|length_ratio|dull_share|perplexity)`", guide.text):
        assert word in Path("runs/talks/report.html").read_text()


def test_the_guide_of_autocomplete_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = Guide("autocomplete.md", tmp_path, monkeypatch, TINY[:2])
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "train", "generate", "generate"]
    guide.run(capsys)
    assert re.search(r"^a\w+\t", capsys.readouterr().out, re.MULTILINE)


def test_the_guide_of_summaries_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rouge_score", reason="rouge-score is not installed")
    guide = Guide("summaries.md", tmp_path, monkeypatch, [*TINY, *ROWS, "--set", "task.beam=1"])
    guide.make_files()
    assert [words[0] for words in guide.commands] == ["init", "check", "train", "predict"]
    guide.run(capsys)
    assert "rougeL" in Path("runs/summaries/report.html").read_text()
