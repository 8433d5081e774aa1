"""Forecasts through every verb: a file in long form, and one of columns, from `init` to frames and a service."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.api_room import done, kept_of, recurra, refused
from recurra import api, load
from recurra.api.evaluating import evaluate
from recurra.base.errors import ConfigError
from recurra.report.png import Pictures
from recurra.service import Limits, open_runs
from service.service_room import Asked

SMALL = tuple(
    word
    for option in (
        "training.epochs=3",
        "task.windows=64",
        "task.horizon=6",
        "task.context=24",
        "training.batch_rows=16",
        "model.encoder={name: recurrent, hidden_size: 8}",
        "model.head={name: direct, hidden_size: 8, step_size: 4}",
    )
    for word in ("--set", option)
)


def write_long(path: Path, more: int = 0, drop: int | None = None) -> None:
    """Two shops with a week, by day; `more` days at the end have a price and no sales."""
    rng = np.random.default_rng(0)
    start = np.datetime64("2024-01-01")
    rows = []
    for shop, level in (("north", 20), ("south", 300)):
        for k in range(80 + more):
            price = 1.0 + 0.1 * (k % 7 == 2)
            sales = round(level * (1 + 0.3 * np.sin(2 * np.pi * k / 7)) * (2 - price) + rng.normal(), 2)
            rows.append([shop, str(start + k), "" if k >= 80 else sales, price])
    rows = [row for k, row in enumerate(rows) if k != drop]
    rng.shuffle(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["store", "date", "sales", "price"], *rows])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file in long form and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("forecast")
    write_long(folder / "d.csv")
    done("init", "forecast", folder / "d.csv", "-o", folder / "c.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        done("train", folder / "c.yaml", "--out", folder / "run", "--set", "task.future=[price]", *SMALL)
    return folder


def test_init_finds_the_columns_the_frequency_and_a_horizon_and_says_so(here: Path) -> None:
    text = (here / "c.yaml").read_text()
    for line in (
        "# layout: long; rows with the same 'store' are one series, in the order of 'date'.",
        "# target: column 'sales'.",
        "# horizon: 14 steps, as steps are D apart; set task.horizon to what you need.",
        "left out: 'price'; name what is known of the future in task.future",
    ):
        assert line in text
    assert "frequency" in done("check", here / "c.yaml").out


def test_a_run_is_scored_beside_naive_forecasts_and_its_report_draws_forecasts(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test", "--json").json
    assert set(said["baselines"]) >= {"last value", "seasonal naive", "drift"}
    names = [one["name"] for one in said["scores"]]
    assert names == [
        "mase", "mae", "rmse", "smape", "scaled_mse", "scaled_mae", "relative_mase", "wql", "crps", "coverage",
        "winkler",
    ]  # fmt: skip
    page = (here / "run" / "report.html").read_text()
    for words in ("Worst forecast", "Best forecast", "Error by step of the forecast", "Autocorrelation of residuals"):
        assert words in page
    assert "What the scores are (m is 7)" in page


def test_a_run_that_is_scored_on_its_own_data_finds_what_it_was_trained_on(here: Path) -> None:
    said = done("evaluate", here / "run", "--split", "test").err
    assert "in train too" not in said
    assert "not what it was trained on" not in said


def test_predict_gives_a_row_for_each_stamp_with_a_column_for_each_quantile(here: Path) -> None:
    write_long(here / "new.csv", more=6)
    done("predict", here / "run", "--input", here / "new.csv", "--output", here / "out.csv")
    rows = list(csv.DictReader((here / "out.csv").read_text().splitlines()))
    assert list(rows[0]) == ["series", "time", "sales", "sales_q0.1", "sales_q0.5", "sales_q0.9"]
    assert [row["time"] for row in rows if row["series"] == "south"] == [f"2024-03-{d}" for d in range(21, 27)]
    for row in rows:
        assert float(row["sales_q0.1"]) <= float(row["sales_q0.5"]) <= float(row["sales_q0.9"])
    assert done("predict", here / "run", "--input", here / "new.csv").out.startswith(("north\ntime\tsales", "south\n"))


def test_a_price_that_ends_early_is_named_by_series_and_stamp(here: Path) -> None:
    write_long(here / "short.csv", more=4)
    said = refused("predict", here / "run", "--input", here / "short.csv")
    assert "2024-03-25: column 'price' has no value, and a forecast of 6 steps needs it; 2 are missing" in said


def test_a_gap_is_named_by_series_stamp_and_row_and_filled_on_request_alone(here: Path) -> None:
    write_long(here / "gap.csv", drop=33)
    said = refused("train", here / "c.yaml", "--out", here / "no", "--set", f"data.train={here / 'gap.csv'}")
    assert "gap.csv:" in said
    assert "series north: 2024-02-03 has no row; the frequency is D, and 1 row is missing" in said
    done("check", here / "c.yaml", "--set", f"data.train={here / 'gap.csv'}", "--set", "task.missing=mask")


def test_a_stamp_that_stands_twice_is_named(here: Path, tmp_path: Path) -> None:
    lines = (here / "d.csv").read_text().splitlines()
    (tmp_path / "twice.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    said = refused("check", here / "c.yaml", "--set", f"data.train={tmp_path / 'twice.csv'}")
    assert "twice, here and at" in said


def test_a_resumed_run_has_the_bits_of_an_undisturbed_one(here: Path, tmp_path: Path) -> None:
    given = ("--set", "task.future=[price]", *SMALL)
    done("train", here / "c.yaml", "--out", tmp_path / "short", *given, "--set", "training.epochs=2")
    done("train", here / "c.yaml", "--out", tmp_path / "long", *given, "--set", "training.schedule=constant")
    done("train", here / "c.yaml", "--out", tmp_path / "part", *given, "--set", "training.schedule=constant",
         "--set", "training.epochs=2")  # fmt: skip
    done("train", "--resume", tmp_path / "part", "--set", "training.epochs=3")
    assert kept_of(tmp_path / "part")[:1] == kept_of(tmp_path / "long")[:1]
    done("train", here / "c.yaml", "--out", tmp_path / "again", *given, "--set", "training.epochs=2")
    assert kept_of(tmp_path / "again") == kept_of(tmp_path / "short")


def test_other_splits_and_layouts_are_refused_in_a_sentence(here: Path) -> None:
    assert "expected time" in refused("check", here / "c.yaml", "--set", "data.split=random")


def test_a_frame_in_long_form_gives_a_frame_of_forecasts(here: Path) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed; it comes with recurra[test]")
    write_long(here / "frame.csv", more=6)
    run = load(here / "run", progress=False)
    frame = pd.read_csv(here / "frame.csv")
    found = run.predict(frame)
    assert list(found.columns) == ["series", "time", "sales", "sales_q0.1", "sales_q0.5", "sales_q0.9"]
    assert len(found) == 12
    done("predict", here / "run", "--input", here / "frame.csv", "--output", here / "frame_out.csv")
    written = pd.read_csv(here / "frame_out.csv")
    np.testing.assert_allclose(
        found.sort_values(["series", "time"])["sales"].to_numpy(), written.sort_values(["series", "time"])["sales"]
    )


def test_one_series_is_asked_for_as_a_row_of_lists_and_served(here: Path) -> None:
    run = load(here / "run", progress=False)
    row: dict[str, Any] = {
        "store": "west",
        "date": [f"2024-05-{d:02d}" for d in range(1, 17)],
        "sales": [*range(10, 20), *[None] * 6],
        "price": [1.0] * 16,
    }
    answer = run.predict(row)
    assert (answer.series, answer.time[0], len(answer.columns["sales"])) == ("west", "2024-05-11", 6)
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    (served,) = asked.post("/predict", {"records": [row]}).json()["predictions"]
    assert served == json.loads(json.dumps(answer.to_dict()))
    assert asked.service.stop(10)


def test_columns_are_series_where_no_column_names_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lines = ["month,air,rail"]
    for k in range(72):
        season = 1 + 0.2 * np.sin(2 * np.pi * k / 12)
        lines.append(f"{2000 + k // 12}-{k % 12 + 1:02d},{100 * season + rng.normal():.2f},{50 * season:.2f}")
    (tmp_path / "w.csv").write_text("\n".join(lines) + "\n")
    text = done("init", "time_series", tmp_path / "w.csv").out
    assert "# layout: wide; 2 columns are series, with stamps in 'month'." in text
    assert "# horizon: 18 steps, as steps are MS apart" in text
    (tmp_path / "w.yaml").write_text(text)
    done("train", tmp_path / "w.yaml", "--out", tmp_path / "run", *SMALL, "--set", "task.loss=mae")
    rows = done("predict", tmp_path / "run", "--input", tmp_path / "w.csv", "--json").out.splitlines()
    first = json.loads(rows[0])
    assert (first["series"], first["time"][0], first["time"][-1]) == ("air", "2006-01", "2006-06")
    assert "value_q0.9" in first  # conformal: by errors on dev
    report = evaluate(tmp_path / "run", tmp_path / "w.csv")
    assert {s.name for s in report.scores} >= {"mase", "coverage"}


@pytest.fixture(scope="module")
def back_test(here: Path) -> Path:
    """A group of runs: trained for the first and the third of three forecasts of each shop."""
    split = "data.split={name: time, test: 3, step: 2, refit: 2}"
    said = done(
        "train", here / "c.yaml", "--out", here / "back", "--set", "task.future=[price]", *SMALL, "--set", split
    )
    assert "back-test: trains 2 times, for origin-1, origin-3, each about as long as one run without refit" in said.err
    assert "run 2 of 2" in said.err
    assert f"recurra predict {here / 'back' / 'origin-3'} --input your_file.csv" in said.err
    return here / "back"


def test_a_back_test_that_trains_again_scores_all_forecasts_together(back_test: Path) -> None:
    found = {
        one["name"]: one["value"]
        for one in json.loads((back_test / "scores.json").read_text())
        if one["split"] == "test"
    }
    parts = [load(back_test / name, progress=False) for name in ("origin-1", "origin-3")]
    each = [run.evaluate(split="test").scores for run in parts]
    # Two forecasts of each shop, and one.
    assert found["mae"] == pytest.approx((2 * each[0]["mae"] + each[1]["mae"]) / 3)
    assert found["mase"] == pytest.approx((2 * each[0]["mase"] + each[1]["mase"]) / 3)
    naive = {one["name"]: one["value"] for one in json.loads((back_test / "baselines.json").read_text())["last value"]}
    assert naive["mase"] > 0
    assert [run._open.task.facts({})["horizon"] for run in parts] == [6, 6]


def test_a_run_of_a_back_test_has_the_bits_that_it_has_where_nothing_follows_its_cut(
    here: Path, back_test: Path, tmp_path: Path
) -> None:
    """The sales of the last forecast, from its cut on, are a billion; what is known of the future is as it was."""
    rows = [line.split(",") for line in (here / "d.csv").read_text().splitlines()]
    days = sorted({row[1] for row in rows[1:]})[-6:]
    lines = [",".join([*row[:2], "1e9", row[3]] if row[1] in days else row) for row in rows]
    (tmp_path / "poisoned.csv").write_text("\n".join(lines) + "\n")
    split = "data.split={name: time, test: 3, step: 2, refit: 2, origin: 3}"
    words = ("--set", "task.future=[price]", *SMALL, "--set", split, "--set", f"data.train={tmp_path / 'poisoned.csv'}")
    done("train", here / "c.yaml", "--out", tmp_path / "again", *words)
    assert kept_of(tmp_path / "again")[0] == kept_of(back_test / "origin-3")[0]
    tasks = [json.loads((run / "task.json").read_text()) for run in (tmp_path / "again", back_test / "origin-3")]
    for one in tasks:
        del one["data"]
    assert tasks[0] == tasks[1]


def test_a_back_test_is_several_runs_wherever_one_is_asked_for(here: Path, tmp_path: Path) -> None:
    words = ("--set", "data.split={name: time, test: 3, refit: 1}")
    assert "this is origin-1, the first of 3" in done("check", here / "c.yaml", *words).err
    assert "--seeds: data.split is time, which makes several runs already" in refused(
        "train", here / "c.yaml", "--seeds", "1,2", "--out", tmp_path / "no", *words
    )
    with pytest.raises(ConfigError, match=r"time makes 3 runs here; .* as data\.split\.origin=1"):
        api.train(here / "c.yaml", out=tmp_path / "no", overrides=[words[1]])


def record_of(path: Path, shop: str = "north") -> dict[str, Any]:
    """A series of a file in long form as a row of lists."""
    found = (row for row in csv.DictReader(path.read_text().splitlines()) if row["store"] == shop)
    rows = sorted(found, key=lambda row: row["date"])
    numbers = {name: [float(row[name]) if row[name] else None for row in rows] for name in ("sales", "price")}
    return {"store": shop, "date": [row["date"] for row in rows], **numbers}


def test_a_series_without_a_step_is_refused_and_no_fault_of_the_service(here: Path) -> None:
    asked = Asked(open_runs([here / "run"], device="cpu"), Limits(), None)
    said = asked.post("/predict", {"records": [{"store": "north", "date": [], "sales": [], "price": []}]})
    assert (said.status_code, "series north holds no step; expected one at least" in said.text) == (422, True)
    assert asked.service.stop(10)


def test_the_score_of_a_back_test_does_not_depend_on_the_size_of_batches(here: Path) -> None:
    run = load(here / "run", progress=False)
    scores = run.evaluate(split="test").scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.tasks.forecasting.task.Forecasting.answer_batch", (65_536, 1))
        assert run.evaluate(split="test").scores == scores


def test_doctor_and_inspect_look_into_a_forecaster(here: Path, tmp_path: Path) -> None:
    said = recurra("doctor", here / "run")
    assert said.code in (0, 1), said.err
    write_long(here / "new.csv", more=6)
    found = done("inspect", here / "run", "--input", here / "new.csv", "--row", 2, "--html", tmp_path / "x.html")
    assert found.out.startswith("south")
    assert "What each step adds to the forecast of sales, the mean of its 6 steps:" in found.out
    for words in ("2024-03-26", "price", "sales 7 before", "day_of_week"):
        assert words in found.out
    page = (tmp_path / "x.html").read_text()
    assert "<svg" in page
    assert "States h: encoder.recurrent" in page
    data = done("inspect", here / "run", "--input", here / "new.csv", "--json").json
    assert data["answer"]["series"] == "north"
    assert data["with_the_text"] == pytest.approx(sum(data["answer"]["sales"]) / 6, rel=1e-5)
    assert len(data["saliency"]) == 24 + 6
    assert "price" in data["parts"]
    refusal = refused("inspect", here / "run", "--input", here / "new.csv", "--row", 3)
    assert "has 2 rows or series, and --row asks for number 3" in refusal
    run = load(here / "run", progress=False)
    assert run.explain(record_of(here / "new.csv")).answer == data["answer"]
