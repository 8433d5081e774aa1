"""Speech to text through every verb: two tones that mean two words, from `init` to a service."""

from __future__ import annotations

import base64
import csv
from pathlib import Path

import numpy as np
import pytest

from api.api_room import done, refused
from recurra import load
from recurra.report.png import Pictures
from recurra.service import Limits, open_runs
from service.service_room import Asked
from sound_room import put

RATE = 8000
PITCHES = {"LOW": 400, "HIGH": 1900}


def spoken(words: list[str], seed: int) -> np.ndarray:
    """Each word is a tone of a fifth of a second, with silence around it."""
    rng = np.random.default_rng(seed)
    pause = np.zeros(RATE // 10)
    time = np.arange(RATE // 5) / RATE
    parts = [pause]
    for word in words:
        parts += [0.4 * np.sin(2 * np.pi * (PITCHES[word] + 40 * rng.normal()) * time), pause]
    whole = np.concatenate(parts)
    return whole + 0.005 * rng.normal(size=len(whole))


def write(folder: Path, name: str, number: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(number):
        words = [list(PITCHES)[j] for j in rng.integers(2, size=rng.integers(1, 5))]
        put(folder / name / f"{k}.wav", spoken(words, 100 * seed + k), rate=RATE)
        rows.append((f"{name}/{k}.wav", " ".join(words)))
    with open(folder / f"{name}.csv", "w", newline="") as file:
        csv.writer(file).writerows([("audio", "text"), *rows])
    return folder / f"{name}.csv"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("tones")
    write(folder, "train", 32, 1)
    write(folder, "test", 8, 2)
    done("init", "speech", folder / "train.csv", "-o", folder / "c.yaml")
    small = ["training.epochs=14", "model.encoder.hidden_size=24", "model.encoder.num_layers=1", "task.stack=4"]
    small += ["model.encoder.dropout=0", "task.tokenizer=spaces", "training.optimizer.lr=0.02"]
    small += [f"data.dev={folder / 'test.csv'}", f"data.test={folder / 'test.csv'}", "task.band_masks=0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        sets = [word for one in small for word in ("--set", one)]
        done("train", folder / "c.yaml", "--out", folder / "run", *sets)
    return folder


def test_init_says_what_it_took_for_what(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in ("name: transcription", "audio: audio", "name: kaldi", "rate: 8000", "time_masks: 2", "name: ctc"):
        assert line in text


def test_two_tones_are_told_apart(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert scores["wer"] <= 0.1
    assert {"cer", "sentence_error", "substitutions", "ctc_nats"} <= set(scores)
    assert said["baselines"]["same_text"][0]["value"] > 0.4


def test_recordings_are_answered_with_words_and_their_times(here: Path, tmp_path: Path) -> None:
    file = put(tmp_path / "new.wav", spoken(["LOW", "HIGH"], 5), rate=RATE)
    (tmp_path / "new.csv").write_text("audio\nnew.wav\n")
    done("predict", here / "run", "--input", tmp_path / "new.csv", "--output", tmp_path / "o.csv")
    (row,) = csv.DictReader((tmp_path / "o.csv").read_text().splitlines())
    assert row["predicted"] == "LOW HIGH"
    (answer,) = load(here / "run", progress=False).predict([{"audio": file}])
    low, high = answer.words
    assert 0.0 <= low.start < low.end <= high.start < high.end <= answer.seconds
    assert low.start < 0.3 < high.end


def test_a_run_is_served(here: Path) -> None:
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    sound = base64.b64encode((here / "test" / "0.wav").read_bytes()).decode()
    (answer,) = asked.post("/predict", {"records": [{"audio": sound}]}).json()["predictions"]
    assert set(answer) == {"output", "score", "seconds", "words"}
    refusal = asked.post("/predict", {"records": [{"audio": "test/0.wav"}]})
    assert refusal.status_code == 422
    assert asked.service.stop(10)


def test_bad_recordings_are_named_before_training(here: Path, tmp_path: Path) -> None:
    lines = (here / "train.csv").read_text().replace("train/", f"{here}/train/").splitlines()
    cases = {
        "gone.wav,LOW": "no such file",
        "one.wav,LOW": "too few for one frame",
        "fast.wav,LOW": "task.sound.resample: true",
        "cut.wav,LOW": "is cut off",
        "text.wav,LOW": "is no sound that can be read",
    }
    put(tmp_path / "one.wav", np.zeros(1), rate=RATE)
    put(tmp_path / "fast.wav", np.zeros(16_000), rate=16_000)
    (tmp_path / "cut.wav").write_bytes((here / "train" / "0.wav").read_bytes()[:-100])
    (tmp_path / "text.wav").write_text("this is no sound")
    for line, said in cases.items():
        (tmp_path / "bad.csv").write_text("\n".join([*lines, line]))
        assert said in refused("check", here / "c.yaml", "--set", f"data.train={tmp_path / 'bad.csv'}")
