"""Series of numbers through every verb: a file in long form, from `init` to a service and to ONNX."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.api_room import done, recurra, refused
from recurra import api, load
from recurra.base.errors import ConfigError
from recurra.report.png import Pictures
from recurra.service import Limits, open_runs
from service.service_room import Asked

SMALL = tuple(
    word
    for option in (
        "training.epochs=12",
        "training.optimizer.lr=0.03",
        "training.patience_share=null",
        "model.encoder={name: recurrent, hidden_size: 8, bidirectional: false}",
    )
    for word in ("--set", option)
)
ALONE = ("--set", "model.wide=none")


def write_long(path: Path, number: int = 40, seed: int = 0) -> None:
    """Rows of all series in any order; a rising series is "up", a falling one "down"."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(number):
        slope = 1 if k % 2 else -1
        for t in range(int(rng.integers(4, 9))):
            rows.append(
                (
                    f"s{k}",
                    t,
                    round(slope * t + rng.normal(0, 0.3), 3),
                    round(rng.normal(), 3),
                    "up" if k % 2 else "down",
                )
            )
    rng.shuffle(rows := [list(map(str, row)) for row in rows])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["series_id", "time", "level", "noise", "label"], *rows])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file in long form and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("series")
    write_long(folder / "d.csv")
    done("init", "series_classification", folder / "d.csv", "-o", folder / "c.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        done("train", folder / "c.yaml", "--out", folder / "run", *SMALL, *ALONE)
    return folder


def test_init_finds_a_long_form_and_says_so(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in (
        "# layout: long; rows with the same 'series_id' are one series, in the order of 'time'.",
        "# values: columns 'level', 'noise', of numbers; one a step.",
        "id: series_id",
        "about 40 rows" if "about 40 rows" in text else "40 rows",
    ):
        assert line in text
    checked = done("check", here / "c.yaml")
    assert "name: convolutional" in text
    assert "each with 2 numbers" in checked.err + checked.out


def test_a_run_is_scored_beside_a_forest_and_answers_for_each_series(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    assert {"majority", "statistics"} <= set(said["baselines"])
    (accuracy,) = [one["value"] for one in said["scores"] if one["name"] == "accuracy"]
    assert accuracy > 0.9
    write_long(here / "new.csv", number=3, seed=9)
    done("predict", here / "run", "--input", here / "new.csv", "--output", here / "out.csv")
    rows = {row["series_id"]: row for row in csv.DictReader((here / "out.csv").read_text().splitlines())}
    assert {name: row["predicted"] for name, row in rows.items()} == {"s0": "down", "s1": "up", "s2": "down"}
    assert set(rows["s0"]) >= {"score", "probability_up", "steps"}
    assert "level" not in rows["s0"]  # lists of numbers are not for a table


@pytest.mark.parametrize(
    ("wide", "told", "noun", "refused"),
    [
        ("kernels", "9,996 shares of steps, weighed by 32 training series", "kernels", "kernels read a whole series"),
        (
            "forest",
            "100 trees on statistics of 32 training series",
            "statistics",
            "a forest reads statistics of a whole",
        ),
    ],
)
def test_a_wide_part_stands_beside_the_network_and_is_in_no_other_program(
    here: Path, tmp_path: Path, wide: str, told: str, noun: str, refused: str
) -> None:
    text = " ".join((here / "c.yaml").read_text().replace("#", " ").split())
    assert "name: kernels" in text
    assert "better than networks on small public sets of series" in text
    said = done("train", here / "c.yaml", "--out", tmp_path / "run", *SMALL, "--set", f"model.wide={wide}")
    assert f"model.wide: {told}." in said.err
    assert f"model.wide: {noun} " in said.err
    run = load(tmp_path / "run", progress=False)
    assert run.evaluate(here / "d.csv").scores["accuracy"] >= 0.95
    run.explain({"level": [0.0, 1.0, 2.1], "noise": [0.1, 0.0, 0.2]})
    message = rf"no way to write a wide part {wide.title()} as ONNX; train with model\.wide: none"
    with pytest.raises(ConfigError, match=message):
        run.export(tmp_path / "m.onnx")
    with pytest.raises(ConfigError, match=rf"model\.wide\.name: {refused}"):
        run._open.task.predictor(run.model)


def test_the_part_of_kernels_can_be_said(here: Path, tmp_path: Path) -> None:
    sets = [
        word
        for one in ("model.wide={name: kernels, thresholds: 8, share: 1}", "training.epochs=1")
        for word in ("--set", one)
    ]
    said = done("train", here / "c.yaml", "--out", tmp_path / "run", *SMALL, *sets)
    assert "model.wide: kernels 100%" in said.err
    assert "a share of 1, at temperatures that were fitted on" in said.err
    assert load(tmp_path / "run", progress=False).model.wide.share[1] == 0


def test_training_goes_on_and_a_changed_number_is_noticed(here: Path, tmp_path: Path) -> None:
    done("train", "--resume", here / "run", "--set", "training.epochs=13")
    text = (here / "d.csv").read_text()
    (here / "d.csv").write_text(text.replace(text.splitlines()[1], text.splitlines()[1].replace(".", ".9", 1)))
    assert (
        "the data is not what it was" in recurra("train", "--resume", here / "run", "--set", "training.epochs=14").err
    )
    (here / "d.csv").write_text(text)


def test_a_series_is_served_explained_and_exported(here: Path, tmp_path: Path) -> None:
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    steps = {"level": [0, 1, 2, 3], "noise": [0, 0, 0, 0]}
    (answer,) = asked.post("/predict", {"records": [steps]}).json()["predictions"]
    assert (answer["label"], answer["steps"]) == ("up", 4)
    refusal = asked.post("/predict", {"records": [{**steps, "level": [0] * 100_001}]})
    assert refusal.status_code == 422
    assert "records.0.level: has 100,001 steps; a field of numbers can have 100,000" in refusal.text
    assert (
        "column 'noise' has 4 steps, column 'level' 1"
        in asked.post("/predict", {"records": [{**steps, "level": [1]}]}).text
    )
    assert asked.service.stop(10)
    done("export", here / "run", "--onnx", tmp_path / "m.onnx")
    found = done("inspect", here / "run", "--input", here / "d.csv", "--row", 2, "--json").json
    assert {one["token"] for one in found["saliency"]} >= {"1", "2", "3", "4"}
    assert set(found["parts"]) == {"level", "noise"}
    assert found["with_the_text"] == pytest.approx(max(found["answer"]["probabilities"].values()), rel=1e-5)
    run = load(here / "run", progress=False)
    assert run.explain(steps).answer["label"] == "up"


def test_a_layout_is_refused_for_a_task_that_reads_rows_one_by_one(here: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "good day,a\nbad day,b\n" * 20)
    done("init", "classification", tmp_path / "t.csv", "-o", tmp_path / "t.yaml")
    said = refused("check", tmp_path / "t.yaml", "--set", "data.layout={name: long, id: label}")
    assert "layout: has no effect on task classification, which reads each row by itself" in said


def test_a_sheet_of_sensors_makes_a_record_of_every_column(here: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [[round(k % 2 * t - 1 + rng.normal(0, 0.1), 3) for t in range(5)] for k in range(80)]
    lines = [json.dumps({"level": row, "label": ("flat", "up")[k % 2]}) for k, row in enumerate(rows)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    done("init", "sensors", tmp_path / "d.jsonl", "-o", tmp_path / "c.yaml")
    end = done("train", tmp_path / "c.yaml", "--out", tmp_path / "run", *SMALL).err
    assert "--input your_file.csv" in end
    assert "some text" not in end
    said = done("predict", tmp_path / "run", "-1 -1 -1 -1", "-1, 0, 1, 2").out
    assert [line.split("\t")[0] for line in said.splitlines()] == ["flat", "up"]
    answers = load(tmp_path / "run", progress=False).predict([[-1, -1, -1, -1], np.array([-1.0, 0.0, 1.0, 2.0])])
    assert [str(answer) for answer in answers] == ["flat", "up"]
    (tmp_path / "sheet.csv").write_text("t,left,right\n" + "".join(f"{t},-1,{t - 1}\n" for t in (3, 1, 2, 0)))
    wide = "data.layout={name: wide, time: t, series: sensor, value: level}"
    done("predict", tmp_path / "run", "--input", tmp_path / "sheet.csv", "--set", wide, "--output", tmp_path / "o.csv")
    found = {row["sensor"]: row["predicted"] for row in csv.DictReader((tmp_path / "o.csv").read_text().splitlines())}
    assert found == {"left": "flat", "right": "up"}


def test_rows_behind_the_last_full_window_are_said_to_be_left_out(tmp_path: Path) -> None:
    lines = ["t,x", *(f"{t},{t % 7}" for t in range(395))]
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    windows = {"name": "windows", "length": 10, "time": "t"}
    config: dict[str, Any] = {
        "task": {"name": "autoencoding", "values": "x", "code_size": 2},
        "model": {"encoder": "recurrent", "decoder": "recurrent"},
        "data": {"train": str(tmp_path / "d.csv"), "layout": windows, "split": "ordered"},
    }
    said = "d.csv: data.layout: 5 rows are behind the last full window of a series, and left out; a window has 10."
    assert any(note.endswith(said) for note in api.check(config).notes)
    config["data"]["layout"] = {**windows, "length": 5}
    assert not any("data.layout" in note for note in api.check(config).notes)
