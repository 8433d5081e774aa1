"""Folders of speech: Kaldi's, and texts beside sounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import read, recognised, splits_in
from recurra.data.formats.bad_rows import SkippedRows


def kaldi(folder: Path, script: str = "u1 a.wav\nu2 sub/b.flac\n", texts: str = "u2 HELLO THERE\nu1\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "wav.scp").write_text(script)
    (folder / "text").write_text(texts)
    return folder


def test_kaldis_folders_are_rows_with_the_lines_of_their_texts(tmp_path: Path):
    folder = kaldi(tmp_path / "train")
    (folder / "utt2spk").write_text("u1 anna\nu2 ben\n")
    first, second = read(folder)
    assert first.fields == {"audio": folder / "a.wav", "text": "", "utterance": "u1", "speaker": "anna"}
    assert (second.fields["text"], second.fields["speaker"]) == ("HELLO THERE", "ben")
    assert str(second.origin) == f"{folder / 'text'}:1"
    assert recognised(folder)[0] == "kaldi"
    kaldi(tmp_path / "test")
    assert set(splits_in(tmp_path)) == {"train", "test"}


def test_a_text_beside_each_sound_is_a_row(tmp_path: Path):
    for name, text in (("b", "two\nlines"), ("a", "one")):
        (tmp_path / f"{name}.WAV").write_bytes(b"")
        (tmp_path / f"{name}.txt").write_text(text)
    rows = list(read(tmp_path))
    assert [row.fields["text"] for row in rows] == ["one", "two lines"]
    assert rows[0].fields["audio"] == tmp_path / "a.WAV"


@pytest.mark.parametrize(
    ("script", "texts", "said"),
    [
        ("u1 sox a.wav -t wav - |\n", "u1 A\n", "wav.scp:1: u1 is a command, which is not run"),
        ("u1 a.wav\n", "u2 A\n", "wav.scp:1: u1 has no line in text"),
        ("u1 a.wav\nu1 b.wav\n", "u1 A\n", "wav.scp:2: 'u1' stands in line 1 already"),
    ],
)
def test_what_cannot_be_read_is_named(script, texts, said, tmp_path: Path):
    with pytest.raises((DataError, ConfigError), match=said):
        list(read(kaldi(tmp_path / "x", script, texts)))


def test_bad_rows_may_be_skipped_and_lonely_texts_are_counted(tmp_path: Path):
    folder = kaldi(tmp_path / "x", "u1 a.wav\nu3 c.wav\n", "u1 A\nu2 B\n")
    notes: list[str] = []
    (row,) = read(folder, bad_rows=SkippedRows(), note=notes.append)
    assert row.fields["text"] == "A"
    assert any("1 text without a recording" in note for note in notes)


def test_segments_are_refused(tmp_path: Path):
    (kaldi(tmp_path / "x") / "segments").write_text("u1 r 0 1\n")
    with pytest.raises(DataError, match="parts of recordings"):
        list(read(tmp_path / "x"))
