"""A command writes over nothing that it reads, and not two things to one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.cli import main

Capture = pytest.CaptureFixture[str]
BEFORE = "time,x\n1,2\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files, and a second name of one of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("in.csv", "clean.csv", "part-1.csv", "in.html", "in.npy", "in.mid"):
        Path(name).write_text(BEFORE)
    Path("link.csv").symlink_to("in.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("detect pca in.csv --output ./in.csv", "--output in.csv: is the input"),
        ("detect pca in.csv --output link.csv", "--output link.csv: is the input"),
        ("detect pca in.csv --threshold value=3 --save in.csv", "--save in.csv: is the input"),
        ("detect pca in.html --clean 9 --report in.html", "--report in.html: is the input"),
        ("detect pca in.csv --clean clean.csv --output clean.csv", "--output clean.csv: is the file of --clean"),
        ("detect pca in.csv --labels clean.csv --output clean.csv", "--output clean.csv: is the file of --labels"),
        ("detect pca in.csv --threshold clean.csv --save clean.csv", "--save clean.csv: is the file of --threshold"),
        ("inpaint run --input in.csv --output in.csv", "--output in.csv: is the input"),
        ("compress run --input in.csv --output in.csv", "--output in.csv: is the input"),
        ("decompress run --input in.csv --output in.csv", "--output in.csv: is the input"),
        ("generate run --between 1 2 --input in.csv --output link.csv", "--output link.csv: is the input"),
        ("generate run --between 1 2 --input in.mid --midi in.mid", "--midi in.mid: is the input"),
        ("encode run --input in.npy --output in.npy", "--output in.npy: is the input"),
        ("predict run --input in.csv --output in.csv", "--output in.csv: is the input"),
        ("predict run --input part-*.csv --output part-1.csv", "--output part-1.csv: is the input"),
        ("init classification in.csv --output in.csv --force", "--output in.csv: is the data"),
        (
            "init speech in.csv --lexicon clean.csv -o clean.csv --force",
            "--output clean.csv: is the file of --lexicon",
        ),
    ],
)
def test_what_a_command_reads_is_never_overwritten(here: Path, capsys: Capture, line: str, said: str) -> None:
    assert main(line.split()) == 2
    assert f"{said}; choose another name, so that nothing is lost." in capsys.readouterr().err
    assert all(one.read_text() == BEFORE for one in here.iterdir())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("detect pca in.csv --threshold value=3 --output o.csv --save ./o.csv", "detect: --output and --save both"),
        ("generate run --output o.csv --midi o.csv", "generate: --output and --midi both"),
        ("export run --onnx o --torch o", "export: --onnx and --torch both"),
    ],
)
def test_two_files_of_one_call_have_two_places(here: Path, capsys: Capture, line: str, said: str) -> None:
    assert main(line.split()) == 2
    assert f"{said} write o" in capsys.readouterr().err


def test_what_an_earlier_call_wrote_may_be_written_again(here: Path, capsys: Capture) -> None:
    Path("out.csv").write_text("an earlier answer")
    assert main(["predict", "run", "--input", "in.csv", "--output", "out.csv"]) == 2
    assert "run: no such folder; expected a run" in capsys.readouterr().err
