"""Rows as series for detectors: what a row lacks, and what is no number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.api.callbacks import NoCallback
from recurra.api.series_tables import read_table
from recurra.base.errors import DataError

ROWS: list[dict[str, Any]] = [{"time": k, "unit": "a", "x": k / 2, "y": 2 * k, "odd": k % 2} for k in range(4)]


def table(path: Path, rows: list[dict[str, Any]], **named: str) -> Any:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    options = {"columns": (), "time": None, "id": None, "label": None, **named}
    (found,) = read_table(path, watch=NoCallback(), **options)  # type: ignore[arg-type]
    return found


def without(name: str, place: int) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if (key, k) != (name, place)} for k, row in enumerate(ROWS)]


def test_a_number_that_a_row_of_json_lacks_is_missing(tmp_path: Path) -> None:
    found = table(tmp_path / "a.jsonl", without("y", 2), id="unit", label="odd")
    assert found.columns == ("x", "y")
    assert np.array_equal(found.values, [[0, 0], [0.5, 2], [1, np.nan], [1.5, 6]], equal_nan=True)


@pytest.mark.parametrize("name", ["time", "unit", "odd"])
def test_a_row_of_rows_without_its_time_series_or_label_is_named(name: str) -> None:
    with pytest.raises(DataError, match=rf"records\[2\]: .*'{name}'.*unit|records\[2\]: .*'{name}'.*time"):
        read_table(without(name, 2), (), None, "unit", "odd", NoCallback())


def test_a_file_whose_time_is_found_by_its_name_names_the_row_without(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:3: .*'time'"):
        table(tmp_path / "a.jsonl", without("time", 2))


@pytest.mark.parametrize("place", [0, 2])
def test_a_whole_number_beyond_every_float_is_refused_with_its_line(tmp_path: Path, place: int) -> None:
    rows = [row | ({"y": 10**400} if k == place else {}) for k, row in enumerate(ROWS)]
    with pytest.raises(DataError, match=rf"a\.jsonl:{place + 1}: .*column 'y' holds 1000.*, expected a finite number"):
        table(tmp_path / "a.jsonl", rows)
