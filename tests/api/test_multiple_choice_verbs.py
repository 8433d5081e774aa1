"""The verbs on multiple choice: from a table to answers, a look inside, the service, and an ONNX file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from api.api_room import done, refused
from published_room import folder
from recurra import api
from recurra.service import Limits, open_runs
from service.service_room import Asked

PAIRS = {"sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red"}


def rows(number: int = 60) -> list[dict[str, str]]:
    """What colour a thing has: four choices in any order, the right one by its letter."""
    rng, found = np.random.default_rng(2), []
    for n in range(number):
        thing = list(PAIRS)[n % 5]
        others = [colour for colour in PAIRS.values() if colour != PAIRS[thing]]
        choices = list(rng.permutation([PAIRS[thing], *rng.permutation(others)[:3]]))
        letter = "ABCD"[choices.index(PAIRS[thing])]
        named = dict(zip(("A", "B", "C", "D"), choices, strict=True))
        found.append({"context": f"number {n}", "question": f"which colour has {thing}", **named, "answer": letter})
    return found


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("choices")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        with Path("data.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows()[0])
            writer.writeheader()
            writer.writerows(rows())
        config = yaml.safe_load(api.init("multiple_choice", "data.csv"))
        assert config["task"]["choices"] == ["A", "B", "C", "D"]
        assert (config["task"]["label"], config["task"]["label_is"]) == ("answer", "letter")
        config["model"]["encoder"] |= {"hidden_size": 12}
        config["model"]["inputs"] |= {"embedding_size": 12, "embedding_dropout": 0.0}
        config["model"]["head"]["output_dropout"] = 0.0
        config["training"] |= {"epochs": 12, "batch_rows": 8, "optimizer": {"name": "adam", "lr": 0.02}}
        Path("c.yaml").write_text(yaml.safe_dump(config))
        done("train", "c.yaml", "--out", "run")
    return path


@pytest.fixture
def here(learned: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(learned)
    return learned


ROW = {"context": "one more", "question": "which colour has snow", "A": "red", "B": "white", "C": "", "D": ""}


def test_a_model_learns_to_choose_and_beats_the_baselines(here: Path) -> None:
    scores = {(s["split"], s["name"]): s["value"] for s in json.loads((here / "run/scores.json").read_text())}
    baselines = json.loads((here / "run/baselines.json").read_text())
    assert scores["dev", "accuracy"] > max(s["value"] for one in baselines.values() for s in one if s["split"] == "dev")
    assert done("evaluate", "run").code == 0


def test_questions_may_have_fewer_choices_than_training_had(here: Path) -> None:
    (found,) = api.predict("run", [ROW])
    assert (found["label"], set(found["probabilities"])) == ("white", {"red", "white"})
    beside = [f"{name}={ROW[name]}" for name in ("question", "A", "B", "C", "D")]
    words = [word for one in beside for word in ("--with", one)]
    assert done("predict", "run", "one more", *words).out.startswith("white\t")
    assert "no column 'question'" in refused("predict", "run", "one more")


def test_inspect_shows_which_tokens_spoke_for_the_choice(here: Path) -> None:
    found = api.inspect("run", ROW)
    assert found.meaning == "the score of 'white'"
    assert found.tokens[-1] == "white"
    assert abs(found.saliency.gap) < 0.05  # the largest of the steps has corners


def test_the_file_for_onnx_says_what_the_model_says(here: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    done("export", "run", "--onnx", "run.onnx")
    assert (here / "run.onnx").stat().st_size > 1000


def test_the_service_chooses(here: Path) -> None:
    served = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (one,) = served.get("/models").json()["models"]
    tried = served.post("/predict", served.service.example("/predict"))
    assert tried.status_code == 200, tried.text
    assert (one["answer"], one["inputs"]) == ("label", ["context", "question", "A", "B", "C", "D"])
    assert served.post("/predict", {"records": [ROW]}).json()["predictions"][0]["label"] == "white"


def test_published_weights_choose_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "tiny")
    lines: list[dict[str, Any]] = [
        {"context": f"the film was {w} {n}", "choices": ["it was good", "it was bad"], "label": int(w == "bad")}
        for n, w in enumerate(["good", "bad"] * 8)
    ]
    Path("data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {
        "task": {"name": "multiple_choice"},
        "data": {"train": "data.jsonl"},
        "model": {"encoder": {"name": "pretrained", "folder": "tiny"}},
        "training": {"epochs": 1},
    }
    Path("c.yaml").write_text(yaml.safe_dump(config))
    done("train", "c.yaml", "--out", "run")
    assert "BertForMultipleChoice" in done("export", "run", "--transformers", "bert").out
    assert "Heads of attention" in [table.caption for table in api.inspect("run", lines[0]).tables]
