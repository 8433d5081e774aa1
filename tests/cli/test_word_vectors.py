"""The commands on vectors of words."""

import json
from pathlib import Path

import pytest

from recurra.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "vectors.txt"
    path.write_text("man 0 1\nking 3 1\nwoman 0 -1\nqueen 3 -1\n", encoding="utf-8")
    return str(path)


def test_similar_words_come_a_line_each_with_their_cosines(file: str, capsys: Capture) -> None:
    assert main(["similar", file, "king", "--top", "2"]) == 0
    assert capsys.readouterr().out == "queen  0.8000\nman    0.3162\n"


def test_an_analogy_is_answered_also_as_json(file: str, capsys: Capture) -> None:
    assert main(["analogy", file, "man", "king", "woman", "--json"]) == 0
    assert [one["word"] for one in json.loads(capsys.readouterr().out)] == ["queen"]
    assert main(["analogy", file, "man", "king", "woman", "--rule", "multiply"]) == 0
    assert capsys.readouterr().out.startswith("queen  ")


def test_a_mistake_is_a_sentence(file: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["similar", file, "kign"]) == 2
    assert capsys.readouterr().err == f"{file}: no vector for 'kign' among 4 words. Did you mean 'king'?\n"
    assert main(["similar", str(tmp_path / "none.txt"), "king"]) == 2
    assert "none.txt" in capsys.readouterr().err
    assert main(["similar", file, "king", "--top", "0"]) == 2
    assert "expected a whole number from 1, got '0'" in capsys.readouterr().err


def test_what_is_left_out_is_said(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nb nan 2\nc 2 1\n", encoding="utf-8")
    assert main(["similar", str(path), "a", "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("c  ")
    assert "1 words were left out" in captured.err
