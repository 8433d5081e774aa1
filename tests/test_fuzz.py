"""Damaged files and configs: each ends in a result or in a sentence. benchmarks/fuzz.py does the same 10,000 times."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from scripts_room import script


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    return script("benchmarks/fuzz.py")


def test_damaged_files_end_in_a_result_or_in_a_sentence(fuzz: ModuleType) -> None:
    found = list(fuzz.fuzz(150, seed=11))
    counts = Counter(one.kind for one in found)
    assert [one.detail for one in found if one.kind == "broken"] == []
    # Neither is everything refused, nor is nothing damaged.
    assert counts["done"] > 15
    assert counts["refused"] > 50
    assert {one.case.split()[0] for one in found} == {"read", "init", "config", "check"}


def test_the_good_files_themselves_have_no_mistakes(fuzz: ModuleType, tmp_path: Path) -> None:
    for name, (file, content, task) in fuzz.FILES.items():
        text = fuzz.yaml.safe_dump({"task": dict(task), "data": {"train": file}, "model": fuzz.TINY})
        assert fuzz.outcome(name, fuzz._checking(tmp_path, file, content.encode(), text.encode())).kind == "done", name


def test_what_breaks_is_told_and_kept(fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "cases", lambda draw, folder: iter([("planted", planted(folder))] * 2))
    assert [one.kind for one in fuzz.fuzz(2, seed=3, keep=tmp_path)] == ["broken", "broken"]
    assert (tmp_path / "3-1" / "bad.csv").read_text() == "content"
    assert "planted\nTraceback" in (tmp_path / "3-1" / "what.txt").read_text()
    same = [fuzz.damaged(b"text,label\na,b\n", random.Random(5)) for _ in range(2)]
    assert same[0] == same[1]


def planted(folder: Path) -> object:
    def work() -> None:
        (folder / "bad.csv").write_text("content")
        raise KeyError("planted")

    return work
