"""Answers as tables: what a cell cannot hold is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.base.errors import DataError
from recurra.cli.tables import TABLES


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a\tb": 1}, r"o\.tsv: the names of columns: a tab or a line break stands in 'a\\tb'"),
        ({"a\nb": 1}, r"o\.tsv: the names of columns: a tab or a line break stands in 'a\\nb'"),
        ({"a": "x\ty"}, r"o\.tsv: row 1: a tab or a line break stands in 'x\\ty'"),
    ],
)
def test_a_tab_in_a_table_of_tabs_is_refused_with_its_place(tmp_path: Path, row: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        TABLES[".tsv"](tmp_path / "o.tsv", [row])
    assert not (tmp_path / "o.tsv").exists()
