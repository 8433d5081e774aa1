"""A classifier with n-grams beside its network: solved, mixed, kept in the run, the same behind every door."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.api_room import Listening, done, refused, write_config, write_csv
from recurra import api
from recurra.api.folder import open_run
from recurra.base.contracts import Origin, Progress, Record
from recurra.base.errors import ConfigError
from recurra.metrics.mixing import Mix
from recurra.models import SequenceModel
from recurra.tasks.classification.task import Classification

WIDE = {"task": {"ngrams": {"name": "hashed", "buckets": 512}}, "model": {"wide": "bag"}}


def rows(number: int = 90) -> list[tuple[str, str]]:
    """Two words that tell the label, unless a third one turns it round; three labels."""
    names = ("red", "green", "blue")
    return [
        (f"{'not ' * (n % 5 == 0)}{names[n % 3]} thing{n} of {n * 7 % 11}", names[(n + (n % 5 == 0)) % 3])
        for n in range(number)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows())
        write_config(training={"epochs": 2}, **WIDE)
        done("train", "c.yaml", "--out", "run")
    return folder


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def answers(run: str, *texts: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done("predict", run, "--json", *texts).out.splitlines()]


def test_an_answer_is_the_mix_that_the_run_holds(here: Path) -> None:
    run, text = open_run(here / "run"), "not red thing"
    assert isinstance(run.model, SequenceModel)
    example = run.task.example(Record({"text": text}, Origin("x")), gold=False)
    batch = run.task.collate([example], (0,))
    with torch.no_grad():
        x, lengths = run.model.inputs(batch)
        deep = run.model.head(run.model.encoder(x, lengths, {}))["logits"]
        a, c = run.model.wide.share
        expected = ((a * run.model.wide.logits(batch) + c * deep).double() / run.task.temperature).softmax(1)[0]
    assert a > 0
    (said,) = answers("run", text)
    assert [said["probabilities"][label] for label in run.task.labels] == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_run_holds_the_share_of_each_part_that_fits_dev(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "data.csv", "data.csv")
    write_config(training={"epochs": 1}, **WIDE)
    monkeypatch.setattr(Classification, "mixed", lambda *given: Mix(first=2.0, second=0.25, spread=0.9))
    done("train", "c.yaml", "--out", "run")
    run = open_run(tmp_path / "run")
    assert isinstance(run.model, SequenceModel)
    assert run.model.wide.share.tolist() == [2.0, 0.25]


def test_an_answer_does_not_depend_on_what_is_asked_beside_it(here: Path) -> None:
    texts = [text for text, _ in rows(4)]
    for text, beside in zip(texts, answers("run", *texts), strict=True):
        (alone,) = answers("run", text)
        # The bag has the same bits; the network's products are added up in another order.
        assert alone["probabilities"] == pytest.approx(beside["probabilities"], abs=1e-6)


def test_the_report_says_the_share_of_each_part_and_what_each_has_alone(here: Path) -> None:
    page = (here / "run" / "report.html").read_text()
    assert "wide and deep" in page
    assert "of the logits" in page
    assert "n-grams" in page


def test_weights_of_ngrams_are_those_of_the_training_rows_alone(here: Path) -> None:
    """A word of dev or test has no weight: its bucket has none, unless a word of train is in it too."""
    run = open_run(here / "run")
    assert isinstance(run.model, SequenceModel)
    task: Any = run.task
    seen = set(run.task.reader.vocabulary.tokens(range(len(run.task.reader.vocabulary))))  # type: ignore[attr-defined]
    unseen = [word for text, _ in rows() for word in text.split() if word.startswith("thing") and word not in seen]
    known = {i for text, _ in rows() if set(text.split()) <= seen for i in task.plan.ngrams_of(text).ids.tolist()}
    only = {i for word in unseen for i in task.plan.ngrams_of(word).ids.tolist()} - known
    assert only
    assert not run.model.wide.scale[sorted(only)].any()


class StopAt(Listening):
    """Asks for the end after a step, as a signal does."""

    def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
        import signal

        if progress.step == 5:
            signal.raise_signal(signal.SIGTERM)


def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bits(here: Path) -> None:
    stopped = api.train("c.yaml", out="again", watch=StopAt())
    assert stopped.report is None
    api.resume("again")
    ours, theirs = (Path(run, "model.safetensors").read_bytes() for run in ("again", "run"))
    assert ours == theirs
    assert Path("again/task.json").read_bytes() == Path("run/task.json").read_bytes()
    shutil.rmtree("again")


def test_several_labels_a_row_are_mixed_too(here: Path) -> None:
    write_csv(here / "many.csv", [(text, f"{label};{'odd' * (n % 2)}") for n, (text, label) in enumerate(rows())])
    many = {"task": {**WIDE["task"], "labels": "many", "separator": ";"}, "model": WIDE["model"]}
    write_config(here / "many.yaml", data={"train": "many.csv"}, training={"epochs": 1}, **many)
    said = done("train", "many.yaml", "--out", "many").err
    assert "n-grams" in said
    scores = {f"{s['split']}/{s['name']}": s["value"] for s in json.loads(Path("many/scores.json").read_text())}
    assert scores["dev/log_loss"] < 0.7  # what a coin has
    (said_of,) = answers("many", "red thing")
    assert set(said_of["probabilities"]) == {"red", "green", "blue", "odd"}


def test_what_cannot_take_effect_is_refused_with_what_to_set(here: Path) -> None:
    assert "model.wide: reads n-grams, and none are counted; set task.ngrams: hashed" in refused(
        "train", "c.yaml", "--out", "x", "--set", "task.ngrams=none"
    )
    assert "model.wide: nothing reads the n-grams that task.ngrams counts; set task.ngrams: none" in refused(
        "train", "c.yaml", "--out", "x", "--set", "model.wide=none"
    )


def test_the_exported_file_has_the_calibrated_mix_in_its_logits(here: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    done("export", "run", "--onnx", "run.onnx")
    run = open_run(here / "run")
    example = run.task.example(Record({"text": "not red thing"}, Origin("x")), gold=False)
    batch = run.task.collate([example], (0,))
    session = runtime.InferenceSession("run.onnx", providers=["CPUExecutionProvider"])
    inputs = {name: tensor.numpy() for name, tensor in batch.inputs.items()} | {"lengths": batch.lengths.numpy()}
    (logits,) = session.run(["logits"], inputs)
    (said,) = answers("run", "not red thing")
    found = torch.from_numpy(logits).softmax(1)[0].tolist()
    assert [said["probabilities"][label] for label in run.task.labels] == pytest.approx(found, abs=1e-5)
    told = json.loads(session.get_modelmeta().custom_metadata_map["ngrams"])
    assert told == {"words": 2, "characters": [2, 5], "lowercase": True, "buckets": 512, "places": False}


def test_rows_that_are_kept_on_the_disk_give_the_same_bits(here: Path) -> None:
    done("train", "c.yaml", "--out", "disk", "--set", "data.store=disk")
    assert Path("disk/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()
    shutil.rmtree("disk")


def test_a_classifier_of_ngrams_alone_learns_and_stands_behind_every_door(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "data.csv", rows())
    alone = {"inputs": {"name": "bag", "embedding_size": 8}, "encoder": {"name": "dense", "sizes": [8]}}
    write_config(
        task={"ngrams": {"name": "hashed", "buckets": 512}},
        model={**alone, "head": {"pooling": "last"}},
        training={"epochs": 8, "optimizer": {"name": "adam", "lr": 0.03}},
    )
    done("train", "c.yaml", "--out", "run")
    assert [one["label"] for one in answers("run", "a red thing", "a green thing")] == ["red", "green"]
    assert "all n-grams" in done("inspect", "run", "a red thing").out
    assert np.load(api_vectors("run")).shape == (1, 8)
    run = open_run(tmp_path / "run")
    assert run.model.inputs.scale.unique().numel() > 2  # idf of the training rows
    with pytest.raises(ConfigError, match="a bag counts the n-grams of a whole text"):
        run.task.predictor(run.model)


def api_vectors(run: str) -> str:
    done("encode", run, "a red thing", "--output", "v.npy")
    return "v.npy"


def test_options_of_tokens_are_refused_where_ngrams_alone_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "data.csv", rows())
    idle = {"min_count": 2, "max_vocabulary": 90, "max_length": 5, "keep": "end", "tokenizer": "characters"}
    write_config(
        task={"ngrams": {"name": "hashed", "buckets": 512}, **idle},
        model={"inputs": {"name": "bag", "embedding_size": 8}, "encoder": {"name": "dense", "sizes": [8]}},
    )
    said = refused("check", "c.yaml")
    for name in idle:
        assert f"{name}: has no effect with model.inputs bag" in said
