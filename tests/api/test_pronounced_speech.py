"""Speech by pronunciations through every verb: two tones that mean two words."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from api.api_room import done, refused
from api.test_transcription_verbs import train, write
from recurra import load
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import NGrams
from recurra.service import Limits, open_runs
from recurra.service.models import Beside
from service.service_room import Asked

WORDS = "low OW1\nlowe OW1\nhigh AY1\nbye B AY1\n"
ARPA = """\\data\\
ngram 1=5
\\1-grams:
-9 <s>
-0.9 </s>
-0.5 low
-0.1 lowe
-0.5 high
\\end\\
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings, a lexicon, n-grams, and a run that was trained by them."""
    folder = tmp_path_factory.mktemp("pronounced")
    write(folder, "train", 28, 1)
    write(folder, "test", 8, 2)
    (folder / "words.dict").write_text(WORDS)
    (folder / "words.arpa").write_text(ARPA)
    done("init", "speech", folder / "train.csv", "--lexicon", folder / "words.dict", "-o", folder / "c.yaml")
    told = {"tokenizer": "spaces", "lexicon": str(folder / "words.dict"), "stress": "drop", "case": "lower"}
    train(folder, "run", {"name": "ctc"}, epochs=10, task=told)
    (folder / "words.dict").unlink()
    return folder


def scores(here: Path, *more: object) -> dict[str, float]:
    said = done("evaluate", here / "run", here / "test.csv", "--json", *more).json
    return {one["name"]: one["value"] for one in said["scores"]}


def test_init_writes_what_the_lexicon_asks_for(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in ("name: spaces", "case: lower", "stress: drop", "words.dict"):
        assert line in text
    assert "says no words by their pronunciations" in refused(
        "init", "classification", here / "train.csv", "--lexicon", here / "words.arpa"
    )


def test_words_are_heard_by_phones_and_the_run_has_its_own_lexicon(here: Path) -> None:
    found = scores(here)
    assert found["wer"] <= 0.2
    assert found["per"] <= 0.2
    phones = scores(here, "--beam", 1)
    assert phones["per"] == found["per"]
    assert "wer" not in phones
    assert scores(here, "--lm", here / "words.arpa")["wer"] > 0.3  # "lowe" is said the same way, and likelier
    log = [json.loads(line) for line in (here / "run" / "log.jsonl").read_text().splitlines()]
    assert all("wer" not in line and "per" in line for line in log if line["event"] == "dev")


def test_answers_have_words_and_another_lexicon_others(here: Path, tmp_path: Path) -> None:
    rows = [{"audio": here / "test" / f"{k}.wav"} for k in range(4)]
    run = load(here / "run", progress=False)
    answers = run.predict(rows)
    assert {word for one in answers for word in one.output.split()} <= {"low", "high"}
    assert all([word.word for word in one.words] == one.output.split() for one in answers)
    (tmp_path / "other.txt").write_text("dark OW\nlight AY\n")
    others = run.predict(rows, lexicon=tmp_path / "other.txt")
    swapped = {"low": "dark", "high": "light"}
    assert [one.output for one in others] == [" ".join(swapped[w] for w in one.output.split()) for one in answers]
    (tmp_path / "other.txt").write_text("dark OW\nlight\n")
    said = refused("predict", here / "run", "--input", here / "test.csv", "--lexicon", tmp_path / "other.txt")
    assert "other.txt:2: 'light' has no pronunciation" in said


def test_a_file_is_heard_as_a_whole_and_a_stream_hears_phones_alone(here: Path) -> None:
    told = done("transcribe", here / "run", here / "test" / "0.wav")
    assert "when the whole recording was heard" in told.err
    assert {word for line in told.out.splitlines() for word in line.split("]")[1].split()} <= {"low", "high"}
    phones = done("transcribe", here / "run", here / "test" / "0.wav", "--beam", 1)
    assert {unit for line in phones.out.splitlines() for unit in line.split("]")[1].split()} <= {"OW", "AY"}


def test_a_service_searches_for_words_unless_it_is_asked_for_phones(here: Path) -> None:
    lm = {"lm": Fusion(NGrams.read(here / "words.arpa"), "word")}
    asked = Asked(open_runs([here / "run"], device="cpu", beside=Beside(search=lm)), Limits(), None)
    sound = {"audio": base64.b64encode((here / "test" / "0.wav").read_bytes()).decode()}
    said = [
        asked.post("/predict", {"records": [sound], **more}).json()["predictions"][0]["output"]
        for more in ({}, {"options": {"beam": 1}})
    ]
    assert set(said[0].split()) <= {"lowe", "high"}
    assert set(said[1].split()) <= {"OW", "AY"}
    assert asked.service.stop(10)
