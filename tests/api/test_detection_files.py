"""What `detect` found, as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from recurra.api.detecting import Detected, DetectedSeries
from recurra.api.detection_files import write_scores
from recurra.base.contracts import Report
from recurra.data.formats import read

NAME, STAMP = '=HYPERLINK("http://x")', "@SUM(A1)"


def test_no_name_of_a_series_and_no_stamp_is_a_formula_of_a_spreadsheet(tmp_path: Path) -> None:
    def one(name: str, *stamps: str | int) -> DetectedSeries:
        values = np.zeros((len(stamps), 1))
        return DetectedSeries(name, stamps, values, ("x",), np.array([0.5, -1.5]), 0, None, None)

    found = Detected((one(NAME, STAMP, "2024-01-01"), one("b", -3, "-2")), None, Report("", ()))
    write_scores(tmp_path / "o.csv", found)
    rows = list(csv.reader((tmp_path / "o.csv").read_text().splitlines()))
    assert rows == [
        ["series", "time", "score"],
        [f"'\\{NAME}", f"'\\{STAMP}", "0.5"],
        [f"'\\{NAME}", "2024-01-01", "-1.5"],
        ["b", "-3", "0.5"],
        ["b", "-2", "-1.5"],
    ]
    back = [(row.fields["series"], row.fields["time"]) for row in read(tmp_path / "o.csv")]
    assert back == [(NAME, STAMP), (NAME, "2024-01-01"), ("b", "-3"), ("b", "-2")]
