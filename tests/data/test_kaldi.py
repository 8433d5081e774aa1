"""Folders of speech: Kaldi's, and texts beside sounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.base.contracts import Origin
from recurra.base.errors import ConfigError, DataError
from recurra.config import build
from recurra.data.fields import names_sound
from recurra.data.formats import read, recognised, splits_in
from recurra.data.formats.bad_rows import SkippedRows
from recurra.data.sound import samples_of, sound_of
from recurra.data.spectra import SPECTRA


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


@pytest.mark.parametrize("between", ["\t", "  ", " \t "])
def test_names_are_parted_by_tabs_or_spaces(between: str, tmp_path: Path):
    script, texts = f"u1{between}a.wav\nu2{between}sub/b c.flac\n", f"u1{between}HELLO  THERE\nu2\n"
    folder = kaldi(tmp_path / "x", script, texts)
    (folder / "utt2spk").write_text(f"u1{between}anna\nu2{between}ben\n")
    first, second = (dict(row.fields) for row in read(folder))
    assert first == {"audio": folder / "a.wav", "text": "HELLO  THERE", "utterance": "u1", "speaker": "anna"}
    assert second == {"audio": folder / "sub/b c.flac", "text": "", "utterance": "u2", "speaker": "ben"}


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


def test_segments_are_parts_of_recordings(tmp_path: Path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")
    folder = tmp_path / "x"
    folder.mkdir()
    sound = room.tone(440, 8000, seed=0)
    room.put(folder / "r.wav", sound, subtype="FLOAT")
    room.put(folder / "r.flac", sound)
    (folder / "wav.scp").write_text("r r.wav\nf r.flac\nc sox x |\n")
    (folder / "text").write_text("u1 A\nu2 B\nu3 C\nu4 D\nu5 E\n")
    (folder / "segments").write_text("u1 r 0 0.25\nu2 r 0.25 1.3\nu3 f 0.5 0.75\n")
    rows = list(read(folder))
    assert [Path(row.fields["audio"]).name for row in rows] == [
        "r.wav#t=0,0.25",
        "r.wav#t=0.25,1.3",
        "r.flac#t=0.5,0.75",
    ]
    spectrum = build({"name": "kaldi", "rate": 8000}, SPECTRA)
    sounds = [sound_of(row.fields["audio"], row.origin, "audio") for row in rows]
    assert [one.samples for one in sounds] == [2000, 6000, 2000]
    assert len({one.digest for one in sounds}) == 3
    whole = sound.astype(np.float32)
    np.testing.assert_array_equal(samples_of(sounds[0], spectrum), whole[:2000])
    np.testing.assert_array_equal(samples_of(sounds[1], spectrum), whole[2000:])
    np.testing.assert_allclose(samples_of(sounds[2], spectrum), whole[4000:6000], atol=1e-4)
    for line, said in (
        ("u4 r 0.5 0.5", "part 0.5 to 0.5 s, and the sound has 1.00 s"),
        ("u4 r 0.5 1.6", "part 0.5 to 1.6 s"),
        ("u4 r 1.2 1.3", "part 1.2 to 1.3 s"),
    ):
        (folder / "segments").write_text(f"{line}\n")
        (row,) = read(folder)
        with pytest.raises(DataError, match=said):
            sound_of(row.fields["audio"], row.origin, "audio")
    for line, said in (
        ("u4 q 0 1", "segments:1: u4 is of q, which has no line in wav.scp"),
        ("u4 c 0 1", "segments:1: u4 is a command"),
        ("u4 r 0 -1", "expected a recording and two times"),
        ("u9 r 0 1", "segments:1: u9 has no line in text"),
    ):
        (folder / "segments").write_text(f"{line}\n")
        with pytest.raises(DataError, match=said):
            list(read(folder))


def test_parts_of_a_packed_sound_are_cut_from_what_is_decoded(tmp_path: Path):
    room = pytest.importorskip("sound_room", reason="soundfile is not installed")
    file = room.put(tmp_path / "r.ogg", room.tone(440, 8000, seed=0))
    spectrum = build({"name": "kaldi", "rate": 8000}, SPECTRA)
    whole = samples_of(sound_of(file, Origin("x"), "audio"), spectrum)
    part = sound_of("r.ogg#t=0.25,0.5", Origin(str(tmp_path / "s.csv"), 2), "audio")
    np.testing.assert_array_equal(samples_of(part, spectrum), whole[2000:4000])
    assert names_sound("r.ogg#t=0.25,0.5")
    assert not names_sound("r.txt#t=0.25,0.5")
