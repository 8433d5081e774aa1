"""Runs side by side: scores with their spread, settings that differ, and whether the test rows tell them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.api_room import done, refused, rows, write_config, write_csv
from recurra import api
from recurra.api.comparing import _difference_table, _Side
from recurra.api.places import GROUP
from recurra.base.contracts import Score
from recurra.base.errors import ConfigError, RunError
from recurra.metrics.bootstrap import Resampled


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of other sizes, a group of two seeds, and a run of other data."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv(folder / "data.csv", rows())
        write_config(training={"epochs": 2, "report": "scores"})
        done("train", "c.yaml", "--out", "small", "--set", "model.encoder.hidden_size=2")
        done("train", "c.yaml", "--out", "large")
        done("train", "c.yaml", "--out", "seeds", "--seeds", "1,2", "--set", "training.epochs=1")
        write_csv(folder / "other.csv", rows()[::-1])
        done("train", "c.yaml", "--out", "other", "--set", "data.train=other.csv", "--set", "training.epochs=1")
    return folder


@pytest.fixture(autouse=True)
def _there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)


def test_runs_stand_side_by_side_with_what_differs(tmp_path: Path) -> None:
    found = done(
        "compare", "small", "large", "seeds", "--resamples", "20", "--html", tmp_path / "c.html", "--json"
    ).json
    assert found["settings"]["model.encoder.hidden_size"][0] == 2
    assert set(found["settings"]) == {"model.encoder.hidden_size", "training.epochs"}
    scores = found["report"]["tables"][0]
    assert scores["columns"] == ["score", "small", "large", "seeds", "better"]
    accuracy = next(row for row in scores["rows"] if row[0] == "accuracy")
    assert not [row for row in scores["rows"] if "[" in row[0]], "scores of labels are in each run's own report"
    assert "±" in accuracy[3]
    assert "±" not in accuracy[2]
    assert len(found["differences"]) == 2
    gap = found["differences"][0]["log_loss"]
    assert gap["low"] <= gap["high"]
    assert 0 <= gap["above"] <= 1
    page = (tmp_path / "c.html").read_text()
    assert "settings that differ" in page
    assert page.count("<polyline") == 3, "curves on one axis"
    assert "paired draws" in done("compare", "small", "large", "--resamples", "5").out
    assert "paired draws" not in done("compare", "small", "large", "--resamples", "0").out


def test_the_difference_of_a_score_is_that_of_the_runs_own_reports() -> None:
    found = api.compare(["small", "large"], resamples=5)
    table = next(one for one in found.report.tables if one.caption.startswith("differences"))
    row = next(row for row in table.rows if row[1] == "log_loss")
    own = [next(s.value for s in api.evaluate(run).scores if s.name == "log_loss") for run in ("small", "large")]
    assert row[2] == f"{own[1] - own[0]:+.3g} nats"


def test_a_difference_is_read_by_which_way_is_better_and_shares_in_points() -> None:
    sides = [_Side(name, (), (), (), ()) for name in ("a", "b")]
    scores = [
        [(Score("accuracy", one, "0..1", "higher", "test"), Score("log_loss", other, "nats", "lower", "test"))]
        for one, other in ((0.5, 2.0), (0.625, 2.5))
    ]
    draws = {"accuracy": Resampled(-0.02, 0.3, 0.9, 100), "log_loss": Resampled(0.1, 0.7, 0.98, 100)}
    assert _difference_table(sides, scores, [draws], 100).rows == (
        ("b", "accuracy", "+12.5 points", "-2 points", "+30 points", "90.0 %", "not told apart"),
        ("b", "log_loss", "+0.5 nats", "+0.1 nats", "+0.7 nats", "2.0 %", "told apart"),
    )


def test_only_runs_with_the_same_test_rows_make_one_side() -> None:
    Path("folds").mkdir()
    Path("folds", GROUP).write_text(json.dumps({"kind": "folds", "runs": {"fold-1": {}}}))
    with pytest.raises(RunError, match="folds: a group whose runs have other test rows each; name runs, or a group of"):
        api.compare(["large", "folds"])


def test_rows_are_told_apart_by_what_their_files_hold_now(tmp_path: Path) -> None:
    write_csv(tmp_path / "copy.csv", rows())
    done("train", "c.yaml", "--out", tmp_path / "copied", "--set", f"data.train={tmp_path / 'copy.csv'}")
    assert api.compare(["large", tmp_path / "copied"], resamples=0).report.facts["rows of test"]
    write_csv(tmp_path / "copy.csv", [(f"{text} indeed", label) for text, label in rows()])
    with pytest.raises(ConfigError, match="has other rows of test than large"):
        api.compare(["large", tmp_path / "copied"], resamples=0)


def test_runs_of_other_rows_are_no_comparison() -> None:
    said = refused("compare", "large", "other")
    assert said.splitlines()[-1].startswith("other: has other rows of test than large: ")
    assert "recurra compare" in refused("compare")
    with pytest.raises(ConfigError, match="expected at least two different runs, got large"):
        api.compare(["large"])
    with pytest.raises(ConfigError, match="at least two different runs"):
        api.compare(["large", "large"])
    assert "at least two different runs, got large, seeds/../large" in refused("compare", "large", "seeds/../large")
    assert "its data has no split 'tset'. Known: train, dev, test." in refused(
        "compare", "large", "small", "--split", "tset"
    )
    assert "no such folder" in refused("compare", "large", "nowhere")
