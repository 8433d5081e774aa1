"""Rows of Python as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.api.callbacks import NoCallback
from recurra.base.errors import DataError
from recurra.python.rows import write_rows


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"x": float("inf")}, {"x": 1.0}],
            r"data: no column is left .*'x': data\[0\] holds float there",
        ),
        (
            [{"x": 1.0, "y": {1}}, {"x": {2}}],
            r"data: no column is left .*'x': data\[1\] holds set there",
        ),
        ([{}, {}], "data: its rows have no columns"),
        ([], "data: holds no rows"),
    ],
)
def test_rows_of_which_no_column_is_left_are_refused(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        write_rows(tmp_path / "w.jsonl", rows, "data", NoCallback())
    assert not (tmp_path / "w.jsonl").exists()


def test_a_column_that_json_cannot_hold_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    write_rows(tmp_path / "w.jsonl", [{"x": float("inf"), "y": 1}, {"x": 2.0}], "data", NoCallback())
    assert (tmp_path / "w.jsonl").read_text() == '{"y": 1}\n{}\n'
