"""Speech to text through every verb: two tones that mean two words, from `init` to a service."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml

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
    write(folder, "train", 28, 1)
    write(folder, "test", 8, 2)
    done("init", "speech", folder / "train.csv", "-o", folder / "c.yaml")
    small = ["training.epochs=10", "model.encoder.hidden_size=24", "model.encoder.num_layers=1", "task.stack=4"]
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


def test_init_writes_the_head_that_is_asked_for_and_names_those_there_are(here: Path, tmp_path: Path) -> None:
    for head, line in (("transducer", "joint_size: 64"), ("attention", "ctc: 0.5")):
        config = tmp_path / f"{head}.yaml"
        done("init", "speech", here / "train.csv", "--head", head, "-o", config)
        assert line in config.read_text()
        done("check", config)
    assert "expected one of ctc, transducer, attention" in refused(
        "init", "speech", here / "train.csv", "--head", "crf"
    )


def test_minutes_of_a_check_are_no_shares(here: Path) -> None:
    facts = done("check", here / "c.yaml").out
    assert re.search(r"train minutes +0\.\d+\n", facts)


def test_two_tones_are_told_apart(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert scores["wer"] <= 0.1
    assert {"cer", "sentence_error", "substitutions", "unit_nats"} <= set(scores)
    assert said["baselines"]["same_text"][0]["value"] > 0.4


def test_the_report_has_recordings_with_their_sounds_and_says_that_there_is_no_stream(here: Path) -> None:
    page = (here / "run" / "report.html").read_text()
    assert "<h2>Recordings</h2>" in page
    assert 1 <= page.count('src="data:audio/wav;base64,') <= 6
    assert "Words: said (rows) and heard (columns)" in page
    assert "not possible" in page


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


@pytest.fixture(scope="module")
def heard(here: Path) -> Path:
    """A run that can be streamed: a causal encoder, scales of what came before."""
    return train(here, "heard", {"name": "ctc"}, epochs=10)


def train(
    here: Path,
    name: str,
    head: dict[str, Any],
    epochs: int,
    rows: int = 8,
    task: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    config = {
        "task": {"name": "transcription", "tokenizer": "spaces", "stack": 4, "scaling": "running", **task},
        "data": {"train": str(here / "train.csv"), "dev": str(here / "test.csv")},
        "model": {"encoder": {"cell": "gru", "hidden_size": 24, "bidirectional": False}, "head": head},
        "training": {
            "epochs": epochs,
            "batch_rows": rows,
            "optimizer": {"name": "adam", "lr": 0.02},
            "report": "scores",
        },
    }
    config["task"]["sound"] = {"name": "kaldi", "rate": RATE, "bands": 24}
    (here / f"{name}.yaml").write_text(yaml.safe_dump(config))
    done("train", here / f"{name}.yaml", "--out", here / name)
    return here / name


def test_a_file_is_heard_as_predict_reads_it(heard: Path, here: Path) -> None:
    said = done("transcribe", heard, here / "test" / "1.wav", "--json")
    stretches = [json.loads(line) for line in said.out.splitlines()]
    (answer,) = load(heard, progress=False).predict([{"audio": here / "test" / "1.wav"}])
    assert " ".join(one["text"] for one in stretches) == answer.output
    assert [word["start"] for one in stretches for word in one["words"]] == [word.start for word in answer.words]
    assert "a real-time factor of" in said.err


def test_a_transducer_learns_and_is_heard_as_predict_reads_it(here: Path) -> None:
    head = {"name": "transducer", "hidden_size": 12, "embedding_size": 4, "joint_size": 24, "blank_share": 0.9}
    run = train(here, "transducer", head, epochs=9, rows=4)
    said = done("evaluate", run, here / "test.csv", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert scores["wer"] <= 0.3  # 0.15; 1.0 and 0.79 nats where the prediction network says nothing
    assert scores["unit_nats"] < 0.4
    test_a_file_is_heard_as_predict_reads_it(run, here)
    rows = [{"audio": here / "test" / f"{k}.wav"} for k in (3, 7)]
    plain, found = (load(run, progress=False).predict(rows, beam=2, hot_words=hot) for hot in ({}, {"LOW": 50.0}))
    assert ["LOW" in one.output for one in (*plain, *found)] == [False, False, True, True]


def test_a_lexicon_holds_in_every_verb(heard: Path, here: Path, tmp_path: Path, monkeypatch: Any) -> None:
    words = tmp_path / "words.txt"
    words.write_text("HIGH h ai\nNEVER n\n")
    search = ("--beam", 4, "--lexicon", words)
    said = done("predict", heard, "--input", here / "test.csv", "--json", *search).out
    texts = [json.loads(line)["output"] for line in said.splitlines()]
    assert {word for text in texts for word in text.split()} == {"HIGH"}
    report = done("evaluate", heard, here / "test.csv", "--json", *search).json
    plain = done("evaluate", heard, here / "test.csv", "--json").json
    scores = [{one["name"]: one["value"] for one in some["scores"]} for some in (report, plain)]
    assert scores[0]["wer"] > scores[1]["wer"]
    by_python = load(heard, progress=False).evaluate(here / "test.csv", options={"beam": 4, "lexicon": words})
    assert by_python.scores["wer"] == scores[0]["wer"]
    told = done("transcribe", heard, here / "test" / "0.wav", *search)
    assert {word for line in told.out.splitlines() for word in line.split("]")[1].split()} == {"HIGH"}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((here / "test" / "0.wav").read_bytes())))
    assert done("transcribe", heard, "-", *search).out == told.out
    assert "with a beam of 1" in refused("evaluate", heard, here / "test.csv", "--lexicon", words)
    words.write_text("\n")
    assert "holds no word" in refused("predict", heard, "--input", here / "test.csv", *search)
    words.write_text("SOME\n")
    assert "none of its words" in refused("predict", heard, "--input", here / "test.csv", *search)
    assert "cannot be read" in refused("predict", heard, "--input", here / "test.csv", "--beam", 4, "--lexicon", here)


def test_samples_on_standard_input_are_heard_as_they_come(heard: Path, here: Path, monkeypatch: Any) -> None:
    wav = (here / "test" / "1.wav").read_bytes()
    whole = done("transcribe", heard, here / "test" / "1.wav").out
    for given in (wav, wav[44:]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert done("transcribe", heard, "-").out == whole
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav[44:])))
    lines = [json.loads(line) for line in done("transcribe", heard, "-", "--json", "--partial").out.splitlines()]
    assert any("partial" in line for line in lines)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav[44:-1])))
    assert "in the middle of a sample" in refused("transcribe", heard, "-")


def test_a_rate_is_for_samples_without_a_header_and_one_that_the_run_hears(
    heard: Path, here: Path, monkeypatch: Any
) -> None:
    wav = (here / "test" / "1.wav").read_bytes()
    whole = done("transcribe", heard, here / "test" / "1.wav").out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav[44:])))
    assert done("transcribe", heard, "-", "--rate", RATE).out == whole
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(wav[44:])))
    assert "has 48,000 Hz, and this run hears 8,000 Hz" in refused("transcribe", heard, "-", "--rate", 48_000)
    assert "--rate is for standard input" in refused("transcribe", heard, here / "test" / "1.wav", "--rate", RATE)


def test_what_is_no_file_is_refused_by_its_name_alone(heard: Path, here: Path) -> None:
    for name in ("none.wav", "test"):
        assert refused("transcribe", heard, here / name).startswith(f"{here / name}: no such file.")


def test_a_run_that_needs_the_end_hears_files_as_a_whole_and_no_stream(here: Path, monkeypatch: Any) -> None:
    said = done("transcribe", here / "run", here / "test" / "0.wav")
    assert said.out.startswith("[")
    assert "heard as a whole" in said.err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "train with bidirectional: false" in refused("transcribe", here / "run", "-")


def test_sessions_of_the_service_hear_pieces(heard: Path, here: Path) -> None:
    asked = Asked(open_runs([heard], device="cpu"), Limits(), None)
    session = asked.post("/sessions", {}).json()["session"]
    samples = (here / "test" / "1.wav").read_bytes()[44:]
    for start in range(0, len(samples), 5000):
        piece = base64.b64encode(samples[start : start + 5000]).decode()
        said = asked.post(f"/sessions/{session}", {"text": piece}).json()["prediction"]
    (answer,) = load(heard, progress=False).predict([{"audio": here / "test" / "1.wav"}])
    assert said["output"] == answer.output
    assert asked.service.stop(10)
