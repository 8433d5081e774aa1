"""Probabilities of a trained classifier: fitted on dev, kept in the run, the same behind every door."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.api_room import Listening, done, kept_of, refused, write_config, write_csv
from recurra import api
from recurra.base.contracts import Progress

# Labels that do not follow from the text, and steps that are far too large: such a model is too sure of itself.
SURE = {"epochs": 1, "batch_rows": 2, "optimizer": {"name": "adam", "lr": 0.5}}


def noisy_rows(number: int = 120) -> list[tuple[str, str]]:
    draw = np.random.default_rng(5)
    return [
        (f"word{draw.integers(30)} word{draw.integers(30)} item{n}", "good" if draw.random() < 0.5 else "bad")
        for n in range(number)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `scaled` and `plain`, which differ in task.calibration alone."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", noisy_rows())
        write_config(training=SURE)
        done("train", "c.yaml", "--out", "scaled")
        done("train", "c.yaml", "--out", "plain", "--set", "task.calibration=none")
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def answers_of(run: str) -> list[dict[str, Any]]:
    texts = [text for text, _ in noisy_rows()]
    return [json.loads(line) for line in done("predict", run, "--json", *texts).out.splitlines()]


def scores_of(run: str) -> dict[str, float]:
    found = json.loads(Path(run, "scores.json").read_text())
    return {f"{s['split']}/{s['name']}": s["value"] for s in found}


def test_one_temperature_fits_dev_better_and_changes_no_answer_and_no_weight(here: Path) -> None:
    scaled, plain = scores_of("scaled"), scores_of("plain")
    assert scaled["dev/log_loss"] < 0.8 * plain["dev/log_loss"]
    assert {k: v for k, v in scaled.items() if "accuracy" in k} == {k: v for k, v in plain.items() if "accuracy" in k}
    assert [a["label"] for a in answers_of("scaled")] == [a["label"] for a in answers_of("plain")]
    assert Path("scaled/model.safetensors").read_bytes() == Path("plain/model.safetensors").read_bytes()


def test_probabilities_are_the_uncalibrated_ones_to_the_power_of_one_over_the_temperature(here: Path) -> None:
    temperature = json.loads(Path("scaled/task.json").read_text())["temperature"]
    assert temperature > 1.2
    for one, other in zip(answers_of("scaled"), answers_of("plain"), strict=True):
        powers = {label: p ** (1 / temperature) for label, p in other["probabilities"].items()}
        expected = {label: p / sum(powers.values()) for label, p in powers.items()}
        assert one["probabilities"] == pytest.approx(expected, rel=1e-9)


def test_the_report_says_what_came_of_it_and_evaluate_agrees(here: Path) -> None:
    facts = api.open_run(Path("scaled")).folder
    page = Path("scaled/report.html").read_text("utf-8")
    assert "fitted on 12 dev rows: log loss" in page
    assert facts.task.is_file()
    again = done("evaluate", "scaled", "--split", "dev", "--json").json["scores"]
    assert {s["name"]: s["value"] for s in again} == {
        name.removeprefix("dev/"): value for name, value in scores_of("scaled").items() if name.startswith("dev/")
    }


def test_a_stop_changes_nothing_of_it(here: Path) -> None:

    class Stopper(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            if progress.step == 30:
                os.kill(os.getpid(), signal.SIGTERM)

    assert api.train(Path("c.yaml"), out=Path("cut"), watch=Stopper()).report is None
    api.resume(Path("cut"))
    assert kept_of("cut")[:2] == kept_of("scaled")[:2]
    assert Path("cut/task.json").read_bytes() == Path("scaled/task.json").read_bytes()


def test_an_exported_model_has_calibrated_logits(here: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; it comes with recurra[test]")
    done("export", "scaled", "--onnx", "scaled.onnx")
    session = runtime.InferenceSession("scaled.onnx", providers=["CPUExecutionProvider"])
    run = api.open_run(Path("scaled"))
    text = noisy_rows()[0][0]
    ids = run.task.reader.vocabulary.ids(run.task.reader.tokens(text))
    (logits,) = session.run(None, {"tokens": np.array([ids]).T, "lengths": np.array([len(ids)])})
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    (answer,) = (json.loads(line) for line in done("predict", "scaled", "--json", text).out.splitlines())
    assert dict(zip(run.task.labels, shares.tolist(), strict=True)) == pytest.approx(answer["probabilities"], abs=1e-5)


def test_a_run_of_an_earlier_version_has_no_temperature_and_one_that_is_no_number_is_refused(here: Path) -> None:
    path = Path("plain/task.json")
    whole = path.read_text()
    stored = json.loads(whole)
    try:
        path.write_text(json.dumps({k: v for k, v in stored.items() if k != "temperature"}))
        assert api.open_run(Path("plain")).task.temperature == 1.0  # type: ignore[attr-defined]
        for bad in (0, -1, "warm", None, 1e999):
            path.write_text(json.dumps(stored | {"temperature": bad}))
            assert "plain/task.json: " in refused("predict", "plain", "a text")
    finally:
        path.write_text(whole)


def test_several_labels_share_one_temperature(here: Path) -> None:
    lines = [(text, f"{label}|x" if n % 3 else label) for n, (text, label) in enumerate(noisy_rows())]
    write_csv(Path("many.csv"), lines)
    options = {"labels": "many", "separator": "|"}
    write_config(Path("m.yaml"), task=options, data={"train": "many.csv"}, training=SURE)
    done("train", "m.yaml", "--out", "many")
    done("train", "m.yaml", "--out", "many-plain", "--set", "task.calibration=none")
    assert scores_of("many")["dev/log_loss"] < scores_of("many-plain")["dev/log_loss"]
    assert [a["labels"] for a in answers_of("many")] == [a["labels"] for a in answers_of("many-plain")]
