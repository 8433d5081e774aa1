"""A tagger with patterns and a dictionary: what a run holds, after a stop too, answers and exports."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import Listening, done, kept_of
from api.test_tagging_verbs import sentences, write_conll, write_yaml
from recurra import api
from recurra.api.folder import open_run
from recurra.api.prepare import prepare
from recurra.base.contracts import Origin, Progress, Record

LOOKUP: dict[str, Any] = {
    "task": {"name": "tagging", "dictionary": "lookup"},
    "model": {"inputs": {"embedding_size": 3, "characters": "none", "pattern_size": 2}, "encoder": {"hidden_size": 4}},
    "training": {"epochs": 2},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looked_up")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_conll(sentences())
        write_yaml(**LOOKUP)
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def batch_of(run: Any, text: str) -> Any:
    example = run.task.example(Record({"token": text}, Origin("x")), gold=False)
    return run.task.collate([example], (0,))


def test_a_run_holds_what_was_counted_in_its_training_rows(here: Path) -> None:
    """Each row ends with a word of its own: of those, training has exactly the ones of its rows, once each as O."""
    run = open_run(here / "run")
    counts = run.task.dictionary.counts  # type: ignore[attr-defined]
    words = run.task.reader.words  # type: ignore[attr-defined]
    own = [k for k, word in enumerate(words.tokens(range(len(words)))) if word.startswith("now")]
    assert 20 < len(own) < 40
    assert counts[own].sum(1).tolist() == [1] * len(own)
    assert run.task.model_sizes["dictionary"] == 2 * run.task.model_sizes["labels"]


def test_a_run_that_is_stopped_and_resumed_leaves_the_same_words_out(here: Path) -> None:
    class Stopping(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    assert api.train(Path("c.yaml"), out=Path("again"), watch=Stopping()).stopped_by is not None
    assert api.resume(Path("again")).report is not None
    assert kept_of("again") == kept_of("run")


def test_the_exported_file_answers_as_the_run(here: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    done("export", "run", "--onnx", "run.onnx")
    run = open_run(here / "run")
    batch = batch_of(run, "Bob is in Port Said")
    assert batch.inputs["dictionary"].any()
    with torch.no_grad():
        expected = run.model(batch).outputs["emissions"].numpy()
    session = runtime.InferenceSession("run.onnx", providers=["CPUExecutionProvider"])
    named = {one.name for one in session.get_inputs()}
    inputs = {name: tensor.numpy() for name, tensor in batch.inputs.items()} | {"lengths": batch.lengths.numpy()}
    (got,) = session.run(["emissions"], {name: array for name, array in inputs.items() if name in named})
    assert {"patterns", "dictionary"} < named
    np.testing.assert_allclose(got, expected, atol=1e-6, rtol=0)


def test_a_run_from_before_there_were_patterns_still_answers(here: Path) -> None:
    write_yaml("old.yaml", model={"inputs": {"embedding_size": 3, "characters": "none"}}, training={"epochs": 1})
    done("train", "old.yaml", "--out", "old")
    text, file = "Anna is in Rome", Path("old/task.json")
    said = done("predict", "old", text, "--json").out
    held = json.loads(file.read_text())
    assert held.pop("dictionary") is None
    del held["reader"]["patterns"]
    file.write_text(json.dumps(held))
    assert done("predict", "old", text, "--json").out == said


def test_a_trained_run_reads_its_training_rows_as_it_did_while_it_learned(here: Path) -> None:
    """Else its score on them would be that of rows which find their own tags; dev rows were never counted."""
    run = open_run(here / "run")
    fresh, again = prepare(run.settings, Listening()), prepare(run.settings, Listening(), task=run.task)
    for split, counted in (("train", True), ("dev", False)):
        examples, read_again = list(fresh.splits[split]), list(again.splits[split])
        batches = [
            task.collate(rows, range(len(rows))).inputs["dictionary"]
            for task, rows in ((fresh.task, examples), (run.task, read_again))
        ]
        assert all(example.counted == counted for example in read_again)
        torch.testing.assert_close(batches[1], batches[0], rtol=0, atol=0)
