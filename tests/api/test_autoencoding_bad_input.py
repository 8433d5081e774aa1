"""What an autoencoder cannot learn from, or be used for: each ends in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from api.api_room import done, recurra, refused

ROWS = np.random.default_rng(0).normal(size=(30, 4)).round(3)


def config(folder: Path, rows: Any, task: Mapping[str, Any] | None = None) -> Path:
    """A config of an autoencoder of rows a, b, c, d."""
    lines = ["a,b,c,d", *(",".join("" if x != x else str(x) for x in row) for row in rows)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")
    tree = {
        "task": {"name": "autoencoding", "values": list("abcd"), "code_size": 2, **(task or {})},
        "data": {"train": str(folder / "d.csv"), "split": {"name": "random"}},
        "training": {"epochs": 1, "report": "scores"},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(tree))
    return folder / "c.yaml"


def test_pictures_of_unequal_size_are_named(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
    for kind in ("a", "b"):
        (tmp_path / "all" / kind).mkdir(parents=True)
        for n in range(4):
            side = 5 if (kind, n) == ("b", 2) else 4
            image.fromarray(np.full((side, 4), 40 * n, np.uint8)).save(tmp_path / "all" / kind / f"{n}.png")
    tree = {
        "task": {"name": "autoencoding", "values": "values", "flatten": True, "scaling": "range", "code_size": 2},
        "data": {"train": str(tmp_path / "all"), "split": {"name": "random"}},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    said = refused("check", tmp_path / "c.yaml")
    assert "2.png" in said
    assert "has 5 steps, expected 4" in said or "expected 5" in said


def test_a_code_as_large_as_a_row_is_refused_and_a_smaller_one_not(tmp_path: Path) -> None:
    said = refused("check", config(tmp_path, ROWS, {"code_size": 4}))
    assert "task.code_size is 4, and a row has 4 numbers: a plain code as large as a row can copy it" in said
    done("check", config(tmp_path, ROWS, {"code_size": 3}))


def test_a_constant_column_is_said(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[:, 2] = 7.0
    said = recurra("check", config(tmp_path, rows))
    assert said.code == 0
    assert "the same number in every step and series: number 3" in said.out + said.err


def test_a_missing_number_and_an_infinite_one_are_refused_with_line_and_column(tmp_path: Path) -> None:
    rows = ROWS.copy()
    rows[3, 1] = np.nan
    said = refused("check", config(tmp_path, rows))
    assert f"{tmp_path / 'd.csv'}:5: column 'b'" in said
    assert "task.missing: mask" in said
    rows[3, 1] = np.inf
    assert "d.csv:5: column 'b'" in refused("check", config(tmp_path, rows))


def test_one_row_is_too_few(tmp_path: Path) -> None:
    said = recurra("check", config(tmp_path, ROWS[:1]))
    assert said.code == 2
    assert "row" in said.err
    assert len(said.err.strip().splitlines()) <= 2
