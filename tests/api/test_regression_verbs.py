"""Numbers of a whole row through every verb: pictures with a box, from `init` to a service and to ONNX."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from api.api_room import done, refused
from recurra import load
from recurra.report.png import Pictures
from recurra.service import Limits, open_runs
from service.service_room import Asked

SIDE, BOX = 8, ("x", "y", "width", "height")
SMALL = tuple(
    word
    for option in ("training.epochs=15", "training.batch_rows=16", "model.encoder.sizes=[32]")
    for word in ("--set", option)
)


def write_pictures(path: Path, number: int, seed: int = 0) -> None:
    """Dark pictures with one bright rectangle."""
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for _ in range(number):
            width, height = rng.integers(2, 6, 2)
            x, y = rng.integers(0, SIDE - width + 1), rng.integers(0, SIDE - height + 1)
            picture = rng.uniform(0, 0.2, (SIDE, SIDE))
            picture[y : y + height, x : x + width] += 0.8
            numbers = map(int, (x, y, width, height))
            file.write(
                json.dumps({"picture": picture.round(2).tolist(), **dict(zip(BOX, numbers, strict=True))}) + "\n"
            )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of pictures and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("boxes")
    write_pictures(folder / "d.jsonl", 200)
    done("init", "boxes", folder / "d.jsonl", "-o", folder / "c.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        patch.setattr("recurra.tasks.series_regression.baselines.TREES", 5)
        done("train", folder / "c.yaml", "--out", folder / "run", *SMALL)
    return folder


def test_init_writes_one_vector_through_feed_forward_layers(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in (
        "name: series_regression",
        "boxes: true",
        "flatten: true",
        "name: dense",
        "# target: columns 'x', 'y',",
    ):
        assert line in text


def test_boxes_are_scored_by_their_overlap_beside_the_mean_box(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert set(scores) >= {"iou", "iou_50", "mae", "rmse", "r2", "mae[x]", "r2[height]"}
    assert set(said["baselines"]) == {"mean", "median", "ridge", "forest"}
    mean = {one["name"]: one["value"] for one in said["baselines"]["mean"]}
    assert scores["iou"] > mean["iou"] + 0.1
    assert "by target, test" in done("evaluate", here / "run", "--split", "test").out
    page = (here / "run" / "report.html").read_text()
    for words in ("Truth against prediction: width", "The worst rows: x, y, width, height", 'scope="col">target</th>'):
        assert words in page


def test_answers_are_columns_lines_and_attributes(here: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "new.jsonl", 3, seed=9)
    done("predict", here / "run", "--input", tmp_path / "new.jsonl", "--output", tmp_path / "o.csv")
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert [name for name in rows[0] if name.startswith("predicted")] == [f"predicted_{name}" for name in BOX]
    lines = done("predict", here / "run", "--input", tmp_path / "new.jsonl").out.splitlines()
    assert lines[0].startswith(f"x {float(rows[0]['predicted_x']):.5g}, y ")
    picture = json.loads((tmp_path / "new.jsonl").read_text().splitlines()[0])
    (answer,) = load(here / "run", progress=False).predict([{"picture": picture["picture"]}])
    assert answer.numbers["width"] == pytest.approx(float(rows[0]["predicted_width"]), rel=1e-5)
    assert refused("predict", here / "run", "1 2 3").count("has 1 number a step, training data had 8") == 1


def test_a_run_is_served_inspected_and_exported(here: Path, tmp_path: Path) -> None:
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    picture = {"picture": np.zeros((SIDE, SIDE)).tolist()}
    (answer,) = asked.post("/predict", {"records": [picture]}).json()["predictions"]
    assert (list(answer["numbers"]), answer["steps"]) == (list(BOX), SIDE)
    short = asked.post("/predict", {"records": [{"picture": picture["picture"][:5]}]}).text
    assert "has 5 steps, expected 8, as training data had" in short
    assert asked.get("/models").json()["models"][0]["answer"] == "numbers"
    assert asked.service.stop(10)
    done("export", here / "run", "--onnx", tmp_path / "m.onnx")
    found = done("inspect", here / "run", "--input", here / "d.jsonl", "--row", 2, "--json").json
    assert len(found["parts"]) == SIDE * SIDE
    done("train", "--resume", here / "run", "--set", "training.epochs=16")
