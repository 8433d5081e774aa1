"""The verbs on how alike two texts are: from a table to numbers, a look inside, the service, and an ONNX file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from api.api_room import done
from recurra import api
from recurra.service import Limits, open_runs
from service.service_room import Asked

WORDS = ("red", "blue", "cat", "dog", "tree", "car", "sun", "sea")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of two words, whose number is 2 for a cat in the first and 3 for a dog in the second."""
    path, rng = tmp_path_factory.mktemp("alike"), np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        with Path("sts.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sentence1", "sentence2", "similarity"])
            for _ in range(80):
                one, other = (list(rng.choice(WORDS, 3)) for _ in range(2))
                writer.writerow([" ".join(one), " ".join(other), 2 * ("cat" in one) + 3 * ("dog" in other)])
        config = yaml.safe_load(api.init("sts", "sts.csv"))
        assert {name: config["task"][name] for name in ("text", "pair", "target")} == {
            "text": "sentence1", "pair": "sentence2", "target": "similarity"
        }  # fmt: skip
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


ROW = {"sentence1": "red cat tree", "sentence2": "sun dog sea"}


def test_a_model_learns_the_numbers_and_beats_the_baselines(here: Path) -> None:
    scores = {(s["split"], s["name"]): s["value"] for s in json.loads((here / "run/scores.json").read_text())}
    baselines = json.loads((here / "run/baselines.json").read_text())
    errors = [s["value"] for one in baselines.values() for s in one if (s["split"], s["name"]) == ("dev", "rmse")]
    assert scores["dev", "rmse"] < min(errors)
    assert scores["dev", "pearson"] > 0.8
    assert done("evaluate", "run").code == 0


def test_a_pair_gets_its_number(here: Path) -> None:
    (found,) = api.predict("run", [ROW])
    assert found["numbers"]["similarity"] == pytest.approx(5, abs=1)
    told = done("predict", "run", ROW["sentence1"], "--with", f"sentence2={ROW['sentence2']}").out
    assert float(told.split("\t")[0]) == pytest.approx(found["numbers"]["similarity"], rel=1e-3)
    inside = api.inspect("run", ROW)
    assert inside.meaning == "the prediction of similarity"
    assert abs(inside.saliency.gap) < 0.05
    strongest = sorted(zip(inside.saliency.steps, inside.tokens, strict=True))[-2:]
    assert {word for _, word in strongest} == {"cat", "dog"}


def test_the_file_for_onnx_and_the_service_say_the_same(here: Path) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    done("export", "run", "--onnx", "run.onnx")
    served = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (one,) = served.get("/models").json()["models"]
    assert (one["answer"], one["kind"], one["inputs"]) == ("numbers", "text", ["sentence1", "sentence2"])
    assert "similarity" in served.post("/predict", {"records": [ROW]}).json()["predictions"][0]["numbers"]
