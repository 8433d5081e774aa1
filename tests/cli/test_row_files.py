"""Rows in files of arrays: every column by its own name, and nothing that could run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.api import CodedRows
from recurra.cli.failures import UsageError
from recurra.cli.row_files import write_rows


def coded(*rows: dict[str, Any]) -> CodedRows:
    return CodedRows(list(rows), np.zeros((len(rows), 2), np.float32), None)


@pytest.mark.parametrize("name", ["file", "allow_pickle", "args", "arr_0", "a b"])
def test_a_column_of_any_name_stands_in_npz(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / "o.npz", coded({name: 1.5, "b": [1, 2]}, {name: 2.5, "b": [3, 4]}))
    with np.load(tmp_path / "o.npz", allow_pickle=False) as found:
        assert {one: found[one].tolist() for one in found.files} == {
            name: [1.5, 2.5],
            "b": [[1, 2], [3, 4]],
            "codes": [[0, 0], [0, 0]],
        }


def test_codes_step_aside_for_a_column_of_their_name(tmp_path: Path) -> None:
    write_rows(tmp_path / "o.npz", coded({"codes": "x"}))
    with np.load(tmp_path / "o.npz") as found:
        assert (found["codes"].tolist(), found["codes_"].tolist()) == (["x"], [[0, 0]])


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_values_that_are_neither_numbers_nor_texts_are_refused_before_a_file_is_there(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"o{ending}"
    with pytest.raises(UsageError, match=rf"o\{ending}: 'a' holds .*None.*take \.jsonl or \.csv"):
        write_rows(path, coded({"a": 1.0}, {"a": None}))
    assert not path.exists()
