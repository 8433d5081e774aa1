"""`detect` from files to flags: by a run of forecasts and by detectors without a network."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.api_room import done, refused
from recurra import api, load
from recurra.api import demos
from recurra.api.detecting import DetectOptions, detect
from recurra.base.errors import DataError
from recurra.metrics.anomalies.thresholds import Rule
from recurra.report.png import Pictures

CONFIG = """
task: {name: forecasting, target: [x, y], time: time, id: unit, horizon: 6, context: 24, windows: 128, missing: mask}
data: {train: TRAIN, layout: {name: long, id: unit, time: time}, split: {name: time, dev: 1, test: 0}}
model: {encoder: {name: recurrent, cell: gru, hidden_size: 8}, head: {name: direct, hidden_size: 8, step_size: 4}}
training: {epochs: 4, batch_rows: 32, report: scores, optimizer: {name: adam, lr: 0.01}}
"""


def write(path: Path, T: int, units: str = "ab", jump: int | None = None, drop: int | None = None) -> None:
    """Units with two columns each by the hour; a jump of six steps, labelled, in unit a."""
    rng, start = np.random.default_rng(0), np.datetime64("2024-01-01T00:00:00")
    rows = []
    for unit in units:
        t = np.arange(T)
        x = np.sin(2 * np.pi * t / 12) + 0.1 * rng.normal(size=3000)[:T]
        y = np.cos(2 * np.pi * t / 12) + 0.1 * rng.normal(size=3000)[:T]
        inside = np.zeros(T, bool)
        if jump is not None and unit == "a":
            inside[jump : jump + 6] = True
        for k in range(T):
            if k != drop:
                stamp = str(start + np.timedelta64(k, "h"))
                rows.append([unit, stamp, f"{x[k] + 3 * inside[k]:.6f}", f"{y[k]:.6f}", int(inside[k])])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["unit", "time", "x", "y", "odd"], *rows])


def read_units(path: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of each unit."""
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return {unit: [row for row in rows if row["unit"] == unit] for unit in "ab"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clean series, series with a jump, and a run that was trained on the clean ones."""
    folder = tmp_path_factory.mktemp("detect")
    write(folder / "clean.csv", 400)
    write(folder / "odd.csv", 200, jump=150)
    (folder / "c.yaml").write_text(CONFIG.replace("TRAIN", str(folder / "clean.csv")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.report.folder.pictures", lambda report, charts, maps: Pictures({}, ()))
        done("train", folder / "c.yaml", "--out", folder / "run")
    return folder


BASELINE = ("--id", "unit", "--columns", "x", "y")


def test_a_run_flags_the_jump_and_writes_a_row_for_each_point(here: Path) -> None:
    words = ("--threshold", "tail=0.001", "--labels", "odd", "--beside", "pca", "--output", here / "o.csv")
    said = done("detect", here / "run", here / "odd.csv", *words, "--report", here / "o.html", "--json").json
    rows = list(csv.DictReader((here / "o.csv").read_text().splitlines()))
    assert [len([row for row in rows if row["series"] == unit]) for unit in "ab"] == [200, 200]
    flagged = [(row["series"], row["time"]) for row in rows if row["flag"] == "1"]
    assert ("a", "2024-01-07T06:00:00") in flagged  # step 150
    scores = {one["name"]: one["value"] for one in said["scores"]}
    assert scores["vus_pr"] > 0.5
    assert [one["name"] for one in said["baselines"]["pca"]] == list(scores)
    assert {"threshold", "points flagged", "alarms", "not scored"} <= set(said["facts"])
    page = (here / "o.html").read_text()
    assert "flagged" in page
    assert "threshold" in page


def test_the_clean_data_of_a_run_is_its_own_unless_another_is_given_and_it_is_said(here: Path) -> None:
    said = done("detect", here / "run", here / "odd.csv", "--threshold", "quantile=0.99").err
    assert "clean.csv, which the run was trained on" in said
    said = done("detect", here / "run", here / "odd.csv", "--threshold", "quantile=0.99", "--clean", "100").err
    assert "trained on" not in said


@pytest.mark.parametrize("source", ["run", "pca"])
def test_scores_do_not_depend_on_how_long_the_file_is_nor_on_other_series(here: Path, source: str) -> None:
    options = DetectOptions(clean=here / "clean.csv", smooth=3)
    if source == "pca":
        options = DetectOptions(clean=here / "clean.csv", causal=True, smooth=3, id="unit", columns=("x", "y"))
    given: Any = source if source == "pca" else here / source
    whole = detect(given, here / "odd.csv", options=options).series[0]
    for T in (60, 101, 160):
        write(here / "part.csv", T, units="a", jump=150)
        part = detect(given, here / "part.csv", options=options).series[0]
        assert (part.scores == whole.scores[:T]).all()


def test_a_score_of_a_run_is_the_mean_error_over_the_usual_one(here: Path) -> None:
    run = api.open_run(here / "run")
    found = detect(run, here / "odd.csv", options=DetectOptions(clean=here / "clean.csv", stride=4))
    rows, clean = read_units(here / "odd.csv"), read_units(here / "clean.csv")

    def errors(some: list[dict[str, str]]) -> dict[int, Any]:
        """Of the forecasts that `predict` makes of the steps before each cut; NaN behind the end."""
        cuts = range(24, len(some), 4)
        columns = ("time", "x", "y")
        records = [{"unit": "a", **{c: [row[c] for row in some[:cut]] for c in columns}} for cut in cuts]
        each = {}
        for cut, said in zip(cuts, api.answered(run, records), strict=True):
            answer, came = said.answer.to_dict(), np.full((6, 2), np.nan)
            came[: len(some) - cut] = [[float(row["x"]), float(row["y"])] for row in some[cut : cut + 6]]
            each[cut] = np.abs(came - np.stack([answer["x"], answer["y"]], 1))
        return each

    usual = np.nanmean([one for unit in "ab" for one in errors(clean[unit]).values()], axis=0)
    made = errors(rows["a"])
    for point in (150, 199):
        held = [one[point - cut] / usual[point - cut] for cut, one in made.items() if 0 <= point - cut < 6]
        assert found.series[0].scores[point] == pytest.approx(np.mean(held), rel=1e-5)
    assert (found.series[0].scores[:24] == 0).all()


def test_a_threshold_is_kept_with_what_it_was_found_by(here: Path) -> None:
    words = ("--threshold", "quantile=0.99", "--clean", here / "clean.csv", "--stride", "3")
    first = done("detect", here / "run", here / "odd.csv", *words, "--save", here / "t.json", "--json").json["facts"]
    again = done("detect", here / "run", here / "odd.csv", "--threshold", here / "t.json", "--json")
    assert again.json["facts"]["points flagged"] == first["points flagged"]
    assert "trained on" not in again.err
    said = refused("detect", here / "run", here / "odd.csv", "--threshold", here / "t.json", "--stride", "2")
    assert "stride: the threshold" in said
    assert "was found with 3, got 2" in said


def test_a_threshold_of_another_run_is_refused(here: Path) -> None:
    clean = ("--clean", here / "clean.csv", *BASELINE)
    done("detect", "pca", here / "odd.csv", *clean, "--threshold", "quantile=0.99", "--save", here / "p.json")
    done("detect", "pca", here / "odd.csv", *clean, "--threshold", here / "p.json")
    for source, rest in (("gaussian", clean), ("pca", ("--clean", "100", *BASELINE))):
        said = refused("detect", source, here / "odd.csv", *rest, "--threshold", here / "p.json")
        assert "found with another run, or a baseline of other clean data" in said
    assert "found with a baseline" in refused("detect", here / "run", here / "odd.csv", "--threshold", here / "p.json")
    broken = json.loads((here / "p.json").read_text()) | {"value": "high"}
    (here / "broken.json").write_text(json.dumps(broken))
    said = refused("detect", "pca", here / "odd.csv", *clean, "--threshold", here / "broken.json")
    assert "expected a threshold as `recurra detect ... --save` writes it: its value is no number" in said


def rows_of(series: int, T: int, seed: int) -> list[dict[str, Any]]:
    """Rows of normal noise."""
    rng = np.random.default_rng(seed)
    return [{"id": f"s{k}", "x": float(value)} for k in range(series) for value in rng.normal(size=T)]


def flagged(word: str, clean: list[dict[str, Any]], **options: Any) -> Any:
    asked = DetectOptions(threshold="quantile=0.9", clean=clean, window=50, columns=("x",), id="id", **options)
    return detect(word, rows_of(1, 4000, 7), options=asked)


def test_a_threshold_counts_only_steps_that_were_scored() -> None:
    found = flagged("gaussian", rows_of(20, 100, 1))  # half of each clean series comes before the first score
    assert found.threshold is not None
    assert found.threshold.points == 20 * 50
    one = found.series[0]
    assert one.first == 50
    assert one.flags is not None
    assert np.mean(one.flags[50:]) == pytest.approx(
        0.1, abs=0.025
    )  # with the unscored steps, half of all, it would be 20 %


def test_a_score_is_smoothed_over_steps_that_were_scored() -> None:
    plain, smooth = (flagged("gaussian", rows_of(20, 100, 1), smooth=steps).series[0].scores for steps in (1, 4))
    assert (smooth[:50] == 0).all()
    assert smooth[50:54] == pytest.approx([plain[50 : 51 + k].mean() for k in range(4)])


def test_a_detector_beside_has_a_threshold_of_steps_that_it_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[int, int] = {}
    find = Rule.value

    def value(rule: Rule, clean: Any, steps_a_day: float | None) -> float:
        seen[len(seen)] = sum(map(len, clean))
        return find(rule, clean, steps_a_day)

    monkeypatch.setattr(Rule, "value", value)
    labelled = [{**row, "odd": int(40 <= k % 200 < 50)} for k, row in enumerate(rows_of(2, 200, 7))]
    options = DetectOptions(
        threshold="quantile=0.9", clean=rows_of(20, 100, 1), window=50, columns=("x",), id="id", labels="odd",
        beside=("gaussian",),
    )  # fmt: skip
    detect("pca", labelled, options=options)
    assert seen == {0: 20 * 100, 1: 20 * 50}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("word", ["pca", "gaussian", "isolation_forest"])
def test_a_clean_series_that_is_shorter_than_a_window_is_left_out_of_the_threshold(word: str, causal: bool) -> None:
    if word == "gaussian" and causal:
        pytest.skip("the scores of gaussian are causal anyway, and asking for it is refused")
    long, short = rows_of(1, 200, 1), [{"id": "short", "x": 1.0}] * 10
    found, alone = (flagged(word, some, causal=causal).threshold for some in (long + short, long))
    assert found is not None
    assert alone is not None
    assert found.points == alone.points
    # The short one counts for the mean and deviation of clean steps alone.
    assert found.value == pytest.approx(alone.value, rel=0.5)


def test_labels_may_be_spans_of_time(here: Path) -> None:
    rows = "series,start,end\na,2024-01-07T06:00:00,2024-01-07T11:00:00\n"
    (here / "spans.csv").write_text(rows)
    column = done(
        "detect", "gaussian", here / "odd.csv", "--clean", "100", *BASELINE, "--labels", "odd", "--beside", "--json"
    ).json
    spans = done(
        "detect",
        "gaussian",
        here / "odd.csv",
        "--clean",
        "100",
        *BASELINE,
        "--labels",
        here / "spans.csv",
        "--beside",
        "--json",
    ).json
    assert spans["scores"] == column["scores"]
    (here / "spans.csv").write_text("start,end\n2024-01-07T06:00:00,2024-01-06\n")
    said = refused("detect", "gaussian", here / "odd.csv", "--clean", "100", *BASELINE, "--labels", here / "spans.csv")
    assert "spans.csv:2: the span ends before it starts" in said


def test_a_gap_is_masked_by_a_run_that_can_and_named_to_a_baseline(here: Path) -> None:
    write(here / "gap.csv", 100, units="a", drop=40)
    found = detect(here / "run", here / "gap.csv", options=DetectOptions(clean=here / "clean.csv")).series[0]
    assert found.scores[40] == 0
    assert np.isfinite(found.scores).all()
    text = (here / "odd.csv").read_text().splitlines()
    text[5] = ",".join([*text[5].split(",")[:2], "", *text[5].split(",")[3:]])
    (here / "hole.csv").write_text("\n".join(text))
    said = refused("detect", "pca", here / "hole.csv", "--clean", here / "clean.csv", *BASELINE)
    assert "series a, 2024-01-01T04:00:00: column 'x' has no number" in said


def test_series_that_cannot_be_scored_are_named(here: Path) -> None:
    write(here / "short.csv", 20, units="a")
    assert "series a has 20 steps; 25 are needed for the first score" in refused(
        "detect", here / "run", here / "short.csv", "--clean", here / "clean.csv"
    )
    write(here / "one.csv", 1, units="a")
    for source in ("pca", "gaussian"):
        said = refused("detect", source, here / "one.csv", "--clean", here / "clean.csv", *BASELINE)
        assert "series a has 1 step;" in said
    path = here / "flat.csv"
    path.write_text("time,x\n" + "".join(f"{k},1\n" for k in range(300)))
    with pytest.raises(DataError, match="every value is the same"):
        detect("pca", path, options=DetectOptions(clean=300, window=10))


def test_a_constant_series_has_finite_scores(here: Path) -> None:
    path = here / "still.csv"
    rows = [f"a,{np.datetime64('2024-01-01T00:00:00') + np.timedelta64(k, 'h')},1,1\n" for k in range(60)]
    path.write_text("unit,time,x,y\n" + "".join(rows))
    found = detect(here / "run", path, options=DetectOptions(clean=here / "clean.csv"))
    assert np.isfinite(found.series[0].scores).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pca", "odd.csv"), "is fitted to clean data, and there is none; give --clean FILE"),
        (("pca", "odd.csv", "--clean", "100", "--stride", "2"), "stride: a baseline's windows begin at every step"),
        (
            ("gaussian", "odd.csv", "--clean", "100", "--causal", *BASELINE),
            "causal: the scores of gaussian have nothing",
        ),
        (("run", "odd.csv", "--causal"), "causal: the scores of this run have nothing of later steps"),
        (("run", "odd.csv", "--window", "9"), "window: a run knows it by its config"),
        (("run", "odd.csv", "--stride", "7"), "stride: a window judges 6 steps, and 7 would leave some out"),
        (("run", "odd.csv", "--save", "t.json"), "save: there is no threshold to write"),
        (("run", "odd.csv", "--beside", "pca"), "beside: others are compared by labels"),
        (("run", "odd.csv", "--threshold", "quantil=0.9"), "Did you mean 'quantile'"),
        (("run", "odd.csv", "--output", "o.txt"), "expected a name that ends in .csv"),
        (("pca", "odd.csv", "--clean", "100"), "is not after the one before"),
        (("pca", "odd.csv", "--clean", "100", *BASELINE, "--labels", "x"), "expected 0 or 1"),
    ],
)
def test_what_has_no_effect_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(here)
    assert said in refused("detect", *words)


def test_a_data_frame_has_the_scores_of_its_file_in_python(here: Path) -> None:
    import pandas as pd

    run = load(here / "run", progress=False)
    frame = pd.read_csv(here / "odd.csv")
    found = run.detect(frame, clean=pd.read_csv(here / "clean.csv"), threshold="quantile=0.99", labels="odd", beside=[])
    file = run.detect(here / "odd.csv", clean=here / "clean.csv", threshold="quantile=0.99")
    for one, other in zip(found.series, file.series, strict=True):
        assert (one.scores == other.scores).all()
        assert (one.flags == other.flags).all()
    assert found.report.scores


def test_the_demo_trains_on_clean_hours_and_finds_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = demos.DEMOS["anomalies"]
    task = {**whole.settings["task"], "windows": 64}
    training = {**whole.settings["training"], "epochs": 1, "report": "scores"}
    settings = {**whole.settings, "task": task, "training": training}
    monkeypatch.setitem(demos.DEMOS, "anomalies", replace(whole, settings=settings))  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    said = done("demo", "anomalies")
    assert "vus_pr" in said.out
    assert "isolation_forest" in said.out
    data = tmp_path / "runs/demo-anomalies-data"
    assert len((data / "machine_watched_scores.csv").read_text().splitlines()) == 1009
    assert "score, the highest of neighbours" in (data / "machine_watched.html").read_text()
