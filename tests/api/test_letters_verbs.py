"""A language model that reads letters, both ways, and a tagger that begins with its layers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from api.api_room import Listening, done, kept_of, refused
from recurra import api
from recurra.base.contracts import Progress

INPUTS = {"name": "characters", "embedding_size": 6, "filters": 2, "window": 3}
LM: dict[str, Any] = {
    "task": {"name": "language_model", "tokenizer": "spaces", "bptt": 5, "min_count": 2},
    "data": {"train": "d.txt"},
    "model": {"inputs": INPUTS, "encoder": {"hidden_size": 6, "num_layers": 2, "backward_layer": True}},
    "training": {"epochs": 1, "batch_rows": 3, "checkpoint_every": 2},
}
TAGGER: dict[str, Any] = {
    "task": {"name": "tagging"},
    "data": {"train": "t.conll"},
    "model": {"inputs": INPUTS, "encoder": {"name": "elmo", "hidden_size": 6, "num_layers": 2}},
    "training": {"epochs": 2, "batch_rows": 8, "patience": None, "init_from": "lm", "gradual_unfreezing": True},
}
NAMES = ("Ann", "Bob", "Eve", "Tom")


def write(name: str, tree: dict[str, Any], **changed: dict[str, Any]) -> None:
    Path(name).write_text(yaml.safe_dump({**tree, **{k: {**tree[k], **v} for k, v in changed.items()}}))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("recurra.tasks.language_model.tables.SAMPLE", 10)
        lines = [f"{name} saw the dog of {other} no{k}" for k, name in enumerate(NAMES * 6) for other in NAMES]
        Path("d.txt").write_text("\n".join(lines) + "\n")
        rows = [f"{name}\tB-PER\nsaw\tO\n{other}\tB-PER\n" for name in NAMES for other in NAMES * 2]
        Path("t.conll").write_text("\n".join(rows))
        write("lm.yaml", LM)
        done("train", "lm.yaml", "--out", "lm")
        write("c.yaml", TAGGER)
        done("train", "c.yaml", "--out", "tagger")
    return folder


@pytest.fixture
def begun(learned: Path, here: Path) -> Path:
    shutil.copytree(learned, here, dirs_exist_ok=True)
    return here


def test_the_inputs_mean_letters_and_an_output_layer_of_its_own(begun: Path) -> None:
    tree = yaml.safe_load(Path("lm/config.yaml").read_text())
    assert tree["task"]["letters"] is True
    assert tree["model"]["head"]["tied"] is False
    model = api.open_run(Path("lm")).model
    assert not any("inputs.embedding" in name for name in model.state_dict())


def test_a_tagger_begins_with_letters_and_layers_by_name(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = done("check", "c.yaml").err
    assert "letters are known there, and inputs and 2 recurrent layers have their weights from there" in said
    settings = {"epochs": 1, "gradual_unfreezing": False, "optimizer": {"name": "sgd", "lr": 1e-9}, "init_from": "lm"}
    write("still.yaml", TAGGER, training=settings)
    done("train", "still.yaml", "--out", "still")
    theirs, ours = (api.open_run(Path(run)) for run in ("lm", "still"))
    mine, other = (run.model.state_dict() for run in (ours, theirs))
    for name in mine:
        if name.startswith("inputs.") and "embedding" not in name:
            torch.testing.assert_close(mine[name], other[name], rtol=0, atol=1e-6)
    for k in range(2):
        for way, there in (("ahead", "recurrents"), ("behind", "backward_layers")):
            found, expected = mine[f"encoder.{way}.{k}.weight_hh_l0"], other[f"encoder.{there}.{k}.weight_hh_l0"]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    letters = [run.task.letters for run in (ours, theirs)]  # type: ignore[attr-defined]
    table = "inputs.letters.embedding.weight"
    here, there = (one.ids(["B"])[0] for one in letters)
    assert here > 3
    torch.testing.assert_close(mine[table][here], other[table][there], rtol=0, atol=1e-6)


def test_both_are_generated_from_judged_looked_into_and_exported(begun: Path) -> None:
    assert done("generate", "lm", "--prompt", "Zoe saw", "--length", "4").out
    assert "read by their letters" in done("predict", "lm", "Zoe saw the dog").err
    assert done("inspect", "lm", "Ann saw the dog").out
    assert done("inspect", "tagger", "Ann saw Bob").out
    assert done("doctor", "lm").out
    for run in ("lm", "tagger"):
        done("export", run, "--onnx", f"{run}.onnx")
    answers = [json.loads(done("predict", "tagger", text, "--json").out) for text in ("Ann saw Bob", "Zoe saw Bob")]
    assert answers[0] != answers[1]


def test_a_run_that_was_stopped_ends_with_the_same_bits(begun: Path) -> None:
    class Stopper(Listening):
        def step(self, progress: Progress, speed: float, seconds_left: float) -> None:
            super().step(progress, speed, seconds_left)
            if progress.step == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(Path("lm.yaml"), out=Path("cut"), watch=Stopper())
    api.resume(Path("cut"))
    assert kept_of("cut")[0] == kept_of("lm")[0]


def test_what_does_not_fit_is_refused_with_what_to_set(begun: Path) -> None:
    write("c.yaml", TAGGER, model={"inputs": {**INPUTS, "window": 4}})
    assert "Set under model.inputs: name: characters, embedding_size: 6, " in refused("check", "c.yaml")
    write("c.yaml", TAGGER, model={"inputs": {"characters": "none", "embedding_size": 6}})
    assert "set model.inputs.name: characters here too" in refused("check", "c.yaml")
    write("c.yaml", TAGGER, task={"min_count": 2})
    assert "min_count: has no effect with model.inputs characters" in refused("check", "c.yaml")
    write("c.yaml", TAGGER, task={"dictionary": "lookup"})
    assert "leave task.dictionary out" in refused("check", "c.yaml")
    write("lm.yaml", LM, task={"letters": False})
    assert "task.letters is false" in refused("check", "lm.yaml")
    write("lm.yaml", LM, task={"letters": True}, model={"inputs": {"embedding_size": 6}})
    assert "letters: has no effect with model.inputs tokens" in refused("check", "lm.yaml")
    write("lm.yaml", LM, model={"head": {"tied": True}})
    assert "the inputs have no table of vectors to share; set tied: false" in refused("check", "lm.yaml")
