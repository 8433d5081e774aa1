"""The verbs on music: from a file of chords to a piece that a player opens, and what is wrong said in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import symusic

from api.api_room import done, refused
from recurra import api
from recurra.base.contracts import Origin, Record

CONFIG = """
task: {name: music, lowest: 55, highest: 76}
data: {train: pieces.jsonl}
model: {encoder: {hidden_size: 4}}
training: {epochs: 2, batch_rows: 8}
"""


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 40 pieces, a config and a finished run."""
    folder = tmp_path_factory.mktemp("music")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [{"chords": [[60 + k % 5, 67], [60 + k % 7], []] * (1 + k % 3), "id": k} for k in range(40)]
        Path("pieces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        Path("c.yaml").write_text(CONFIG, "utf-8")
        # What a text would be is no chord: another next step is named.
        assert "Next:\n  recurra generate run --midi piece.mid\n" in done("train", "c.yaml", "--out", "run").err
    return folder


@pytest.fixture
def at(played: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(played)
    return played


def test_a_config_for_a_file_of_chords_is_written_and_has_no_mistakes(at: Path) -> None:
    done("init", "music", "pieces.jsonl", "-o", "made.yaml")
    assert "  chords: chords " in Path("made.yaml").read_text("utf-8")
    facts = api.check(Path("made.yaml")).facts
    assert facts["notes"] == 88
    assert facts["train pieces"] == 32


def test_the_run_has_scores_beside_counting_and_a_picture_of_probabilities(at: Path) -> None:
    names = {(s["name"], s["split"]) for s in json.loads(Path("run/scores.json").read_text("utf-8"))}
    assert names >= {("nats_per_step", "dev"), ("nats_after_first", "test"), ("frame_accuracy", "test")}
    page = Path("run/report.html").read_text("utf-8")
    assert "How probable each note was" in page
    assert "after itself" in page


def test_a_piece_is_scored_and_played_to_a_file(at: Path, tmp_path: Path) -> None:
    (answer,) = api.predict(Path("run"), [Record({"chords": "C4+G4 - 64"}, Origin("a request"))])
    assert answer["chords"] == "C4+G4 - E4"
    assert answer["nats_per_step"] == pytest.approx(-answer["log_prob"] / 3)
    file = tmp_path / "a.mid"
    said = done("generate", "run", "--prompt", "C4+E4 C4", "--length", "6", "--seed", "2", "--midi", str(file))
    pieces = list(api.generate(Path("run"), "C4+E4 C4", length=6, seed=2))
    assert said.out == "C4+E4 C4" + "".join(p.text for p in pieces) + "\n"
    assert str(file) in said.err
    notes = [n.pitch for n in symusic.Score.from_file(file).tracks[0].notes]
    assert notes[:2] == [60, 64]
    assert list(api.generate(Path("run"), "C4+E4 C4", length=6, seed=2)) == pieces
    several = list(api.generate(Path("run"), length=3, num=2))
    assert [p.number for p in several] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--top-k", "3"), "top_k: has no effect on music, where each note is drawn by itself; leave it out."),
        (("--prompt", "H9"), "step 1: 'H9' is no note"),
        (("--suggest", "3"), "is a run of task music, expected one of task language_model"),
        (("--midi", "nowhere/a.mid"), "--midi nowhere/a.mid: there is no folder 'nowhere'"),
        (("--midi", "a.mid", "--num", "2"), "--midi holds one piece; leave out --num"),
        (("--midi", "a.mid", "--suggest", "2"), "--suggest plays nothing"),
    ],
)
def test_what_cannot_be_done_with_music_is_said(at: Path, words: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused("generate", "run", *words)
    assert not Path("a.mid").exists()


def test_a_broken_piece_is_named_with_its_line(at: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"chords": [[60]]}\n{"chords": [[60], [200]]}\n', "utf-8")
    assert f"{file}:2: column 'chords', step 2: 200 is no note" in refused("evaluate", "run", str(file))
