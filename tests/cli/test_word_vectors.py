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


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str, str]:
    analogies, pairs = tmp_path / "questions.txt", tmp_path / "pairs.txt"
    analogies.write_text(": family\nMan King Woman Queen\nman king queen woman\n: cities\nman king paris france\n")
    pairs.write_text("man woman 9\nking queen 8\nman queen 1\nman unknown 5\n")
    return str(analogies), str(pairs)


def test_files_of_questions_are_asked_and_what_is_unknown_is_counted(
    file: str, asked: tuple[str, str], capsys: Capture
) -> None:
    """By hand: man (0,1) king (3,1) woman (0,-1) queen (3,-1). king - man + woman is nearest to queen; king - man +
    queen has only woman left, so it is right too. Cosines: man woman -1, king queen 0.8, man queen -0.32: ranks 1 3 2
    beside marks 3 2 1, so rho = 1 - 6 (4 + 1 + 1) / 24 = -0.5."""
    assert main(["evaluate", file, "--analogies", asked[0], "--similarity", asked[1]]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "questions.txt  accuracy 1.0000  2 of 3 known",
        "  family       accuracy 1.0000  2 of 2 known",
        "  cities       none known  0 of 1 known",
        "pairs.txt      spearman -0.5000  3 of 4 known",
    ]
    assert captured.err == "Of what is known among all words, in lower case; the rest is left out.\n"


def test_words_can_be_restricted_and_their_case_kept(file: str, asked: tuple[str, str], capsys: Capture) -> None:
    assert main(["evaluate", file, "--analogies", asked[0], "--case", "keep", "--json"]) == 0
    assert [one["known"] for one in json.loads(capsys.readouterr().out)] == [1, 1, 0]
    assert main(["evaluate", file, "--similarity", asked[1], "--among", "3"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "pairs.txt  none known  1 of 4 known\n"
    assert "among the first 3 words" in captured.err


def test_a_broken_file_of_questions_is_named_with_its_line(file: str, tmp_path: Path, capsys: Capture) -> None:
    broken = tmp_path / "broken.txt"
    for text, flag, message in (
        ("a b c\n", "--analogies", "broken.txt:1: expected four words, or ': category', found 3: 'a b c'."),
        (": x\n", "--analogies", "holds no analogy"),
        ("a b 1\na b much\n", "--similarity", "broken.txt:2: expected two words and a mark, found 'a b much'."),
        ("a b\n", "--similarity", "broken.txt:1: expected two words and a mark"),
        ("", "--similarity", "holds no pair"),
    ):
        broken.write_text(text)
        assert main(["evaluate", file, flag, str(broken)]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", file, "--similarity", str(tmp_path / "none.txt")]) == 2
    assert main(["evaluate", file, "--similarity", str(broken), "--among", "0"]) == 2
    assert "among: expected a number of words from 1, got 0" in capsys.readouterr().err
    assert main(["evaluate", file, "--case", "keep"]) == 2
    assert "need --analogies FILE or --similarity FILE" in capsys.readouterr().err
    assert main(["evaluate", file, "x.csv", "--similarity", str(broken)]) == 2
    assert "have no effect on --analogies" in capsys.readouterr().err
