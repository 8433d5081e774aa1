"""Translation by a Transformer, from files to answers: trained, stopped and resumed, asked alone and together."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api.api_room import Listening, done, kept_of
from api.test_translation_verbs import pairs, write_tsv, write_yaml
from recurra import api

ATTENTION: Mapping[str, Any] = {"name": "transformer", "hidden_size": 8, "num_heads": 2, "feed_forward_size": 8}
SECTIONS: Mapping[str, Any] = {
    "task": {"label_smoothing": 0.1, "vocabulary": "shared"},
    "model": {"inputs": {"embedding_size": 8}, "encoder": ATTENTION, "decoder": {**ATTENTION, "tie": "all"}},
    "training": {"epochs": 2, "schedule": "inverse_sqrt"},
}


@pytest.fixture(scope="module")
def attending(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with d.tsv, c.yaml and a finished run under the name `run`."""
    folder = tmp_path_factory.mktemp("attending")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tsv(pairs())
        write_yaml(**SECTIONS)
        done("train", "c.yaml", "--out", "run")
    return folder


def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    attending: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(attending)

    class Stopping(Listening):
        def step(self, progress: Any, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    stopped = tmp_path / "stopped"
    assert api.train(Path("c.yaml"), out=stopped, watch=Stopping()).stopped_by is not None
    assert api.resume(stopped).report is not None
    assert kept_of(stopped) == kept_of("run")


def test_nats_stand_beside_the_smoothed_loss_and_answers_are_the_same_alone_and_together(
    attending: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(attending)
    scores = {score["name"] for score in json.loads(Path("run/scores.json").read_text())}
    assert {"perplexity", "log_loss"} <= scores
    texts = ["one two 1", "three", "five four three two one 7"]
    together = [json.loads(line) for line in done("predict", "run", *texts, "--json").out.splitlines()]
    alone = [done("predict", "run", text, "--json").json for text in texts]
    assert together == alone


def test_attention_is_shown_and_inspected_and_files_for_other_programs_are_written(
    attending: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(attending)
    found = done("predict", "run", "one two 1", "--attention", "--json").json["attention"]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in found["weights"])
    said = done("export", "run", "--onnx", str(tmp_path / "m.onnx")).out
    assert {f"m.{part}.onnx" for part in ("encoder", "step")} == {file.name for file in tmp_path.iterdir()}
    assert said.count("written; the largest difference from the model is ") == 2
    shown = done("inspect", "run", "one two 1", "--json").json
    captions = [found["title"] for found in shown["maps"]]
    assert captions
    assert {f"Attention of layer {k}, head {h}" for k in (1, 2) for h in (1, 2)} <= set(captions)
