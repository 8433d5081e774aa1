"""The texts that a run keeps of its own data: which they are, and what of a strange file is taken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recurra.api.places import RunFolder
from recurra.api.samples import LONGEST, read_samples, sample_texts, write_samples
from recurra.base.errors import RunError

TASK: Any = SimpleNamespace(input_key="text")


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


def test_three_different_texts_are_spread_over_the_data() -> None:
    texts = sample_texts(TASK, rows(*(f"text {n}" for n in range(9)), "text 0"))
    assert texts == ["text 0", "text 3", "text 6"]
    assert sample_texts(TASK, rows("a", "a", " ")) == ["a"]
    assert sample_texts(TASK, []) == []


def test_a_long_text_is_taken_only_where_all_are_long() -> None:
    long = "word " * 100
    assert sample_texts(TASK, rows(long, "short")) == ["short"]
    (cut,) = sample_texts(TASK, rows(long))
    assert cut == ("word " * 60).strip()
    assert sample_texts(TASK, rows("x" * 999)) == ["x" * LONGEST]


def test_a_text_stands_where_the_task_says() -> None:
    task: Any = SimpleNamespace(input_key="chords")
    assert sample_texts(task, [{"chords": "C4+E4 G4", "text": "no"}]) == ["C4+E4 G4"]


def test_what_is_written_is_read_and_a_run_may_have_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read_samples(folder) == ()
    write_samples(folder, ["日本 \ud800", "b"])
    assert read_samples(folder) == ("日本 \ud800", "b")


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"texts": ["a", "b", "c", "d"]}', '{"texts": [1]}', "{", '{"texts": "a"}']
)
def test_a_strange_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "examples.json").write_text(text)
    with pytest.raises(RunError, match=r"examples\.json: damaged: "):
        read_samples(RunFolder(tmp_path))


def test_a_text_in_a_strange_file_is_no_longer_than_others(tmp_path: Path) -> None:
    (tmp_path / "examples.json").write_text('{"texts": ["' + "x" * (LONGEST + 1) + '"]}')
    with pytest.raises(RunError, match="at most 3 texts of at most 300 characters"):
        read_samples(RunFolder(tmp_path))
