"""The files of a report: the fixed lists, the pictures, and that each is whole or absent."""

from __future__ import annotations

import errno
import json
import sys

import pytest

from recurra.base.contracts import Score
from recurra.report import Chart, Curve, baselines_json, pictures, scores_json, write
from report.reporting import matrix, small_report, small_scores

CHARTS = (Chart("Loss $x^$", "step", "nats", (Curve("$train^$", ((1.0, 2.0), (2.0, 1.0))), Curve("dev", ()))),)
PNG = b"\x89PNG\r\n\x1a\n"


def test_scores_json_is_the_fixed_list():
    assert scores_json(small_report())[:2] == [
        {"name": "accuracy", "value": 0.91, "unit": "0..1", "better": "higher", "split": "test"},
        {"name": "log_loss", "value": 0.25, "unit": "nats", "better": "lower", "split": "test"},
    ]


def test_baselines_json_has_the_same_list_for_each_baseline():
    found = baselines_json(small_report())
    assert list(found) == ["majority", "tfidf"]
    assert found["tfidf"][0] == {"name": "accuracy", "value": 0.88, "unit": "0..1", "better": "higher", "split": "test"}


def test_a_value_that_is_not_finite_is_null_so_that_any_reader_can_read_it():
    report = small_report(scores=(Score("log_loss", float("nan"), "nats", "lower", "test"),))
    assert scores_json(report)[0]["value"] is None


def test_a_run_folder_gets_every_file_and_nothing_else(tmp_path):
    written = write(tmp_path, small_report(), charts=CHARTS, settings="seed: 1\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written.paths)
    assert {p.name for p in written.paths} == {
        "scores.json",
        "baselines.json",
        "report.html",
        "confusion.png",
        "curves.png",
    }
    assert json.loads((tmp_path / "scores.json").read_text()) == scores_json(small_report())
    assert json.loads((tmp_path / "baselines.json").read_text()) == baselines_json(small_report())
    assert "seed: 1" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert written.notes == ()


def test_a_label_with_half_a_surrogate_pair_can_be_written(tmp_path):
    scores = (Score("f1[\ud800]", 0.5, "0..1", "higher", "test"),)
    write(tmp_path, small_report(title="\ud800", scores=scores, baselines={}, tables=()))
    assert json.loads((tmp_path / "scores.json").read_text())[0]["name"] == "f1[\ud800]"


def test_pictures_are_png_and_the_same_bytes_twice():
    first, second = (pictures(small_report(), CHARTS) for _ in range(2))
    assert set(first.files) == {"confusion.png", "curves.png"}
    assert all(picture.startswith(PNG) for picture in first.files.values())
    assert first == second


def test_a_label_that_looks_like_a_formula_is_drawn_as_text():
    report = small_report(tables=(matrix(("$\\bad{$", "$x^$"), ((1, 0), (0, 1))),))
    assert pictures(report, ()).files["confusion.png"].startswith(PNG)


def test_letters_that_the_font_lacks_are_reported():
    report = small_report(tables=(matrix(("日本語", "한국어"), ((1, 0), (0, 1))),))
    assert pictures(report, ()).notes == (
        "some labels hold characters that matplotlib's font lacks; report.html shows them.",
    )


def test_a_report_without_matrix_or_curves_has_no_pictures():
    assert pictures(small_report(tables=()), ()).files == {}


def test_without_matplotlib_the_sentence_names_the_package_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    written = write(tmp_path, small_report(), charts=CHARTS)
    assert written.notes == ('pictures were left out: matplotlib is not installed; pip install "recurra[plot]".',)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["baselines.json", "report.html", "scores.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write(tmp_path, small_report(title="old", tables=()))
    monkeypatch.setattr("recurra.base.atomic.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, small_report(title="new", scores=(), tables=()))
    assert json.loads((tmp_path / "scores.json").read_text()) == scores_json(small_report())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["baselines.json", "report.html", "scores.json"]


def full_disk(handle):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none", small_report(scores=small_scores(1, 1), tables=()))
