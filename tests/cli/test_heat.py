"""Attention in a terminal: each shade where its row and column meet, in as many columns as a token takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.base.errors import DataError
from recurra.cli import main
from recurra.cli.heat import heat_lines
from recurra.cli.texts import readable, write_png

ATTENTION = {"rows": ["x", "<eos>"], "columns": ["a", " ", "日"], "weights": [[0.04, 0.06, 0.9], [0.25, 0.5, 0.25]]}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda columns: monkeypatch.setenv("COLUMNS", str(columns))


def test_a_token_has_as_many_shades_as_it_takes_columns(terminal: Any) -> None:
    terminal(80)
    assert list(heat_lines(**ATTENTION)) == ["         a ␣ 日", "  x        ░ ██", "  <eos>  ▒ ▓ ▒▒"]


@pytest.mark.parametrize(
    ("weight", "shade"), [(0.0, ""), (0.049, ""), (0.05, "░"), (0.25, "▒"), (0.5, "▓"), (0.75, "█"), (1.0, "█")]
)
def test_a_larger_weight_is_darker(weight: float, shade: str, terminal: Any) -> None:
    terminal(80)
    assert list(heat_lines(["y"], ["x"], [[weight]]))[1] == f"  y  {shade}".rstrip()


def test_where_a_map_is_too_wide_the_strongest_weights_are_listed(terminal: Any) -> None:
    terminal(10)
    assert list(heat_lines(**ATTENTION)) == ["  x      日 90 %, ␣ 6 %, a 4 %", "  <eos>  ␣ 50 %, a 25 %, 日 25 %"]


def test_control_characters_do_not_reach_the_terminal(terminal: Any) -> None:
    terminal(80)
    assert "\x1b" not in "".join(heat_lines(["\x1b[31m"], ["\x1b"], [[1.0]]))


def test_nothing_to_look_at_is_no_line_too_many(terminal: Any) -> None:
    terminal(80)
    assert [line.rstrip() for line in heat_lines(["<eos>"], [], [[]])] == ["", "  <eos>"]


def test_an_answer_is_followed_by_the_others_and_its_attention(terminal: Any) -> None:
    terminal(80)
    others = [{"output": "x", "score": 0.5, "log_prob": -1.0}, {"output": "y\n", "score": 0.25, "log_prob": -2.0}]
    row = {"output": "x", "score": 0.5, "text": "a 日", "n_best": others, "attention": ATTENTION}
    assert readable(row).splitlines()[:4] == ["x\t50.0 %\ta 日", "  2. y\t25.0 %", "         a ␣ 日", "  x        ░ ██"]
    assert readable({"output": "x", "score": 0.5, "text": "t"}) == "x\t50.0 %\tt"


def test_the_options_that_are_given_reach_the_task(api: Any) -> None:
    assert main(["predict", "r", "t"]) == 0
    assert main(["predict", "r", "t", "--beam", "4", "--n-best", "2", "--attention"]) == 0
    asked = [given["options"] for _, given in api.asked]
    assert asked == [{}, {"beam": 4, "n_best": 2, "attention": True}]


def test_pictures_are_written_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    row = {"output": "x", "text": "a", "attention": ATTENTION}
    assert write_png(path, [row, row]) == 2
    assert path.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err.endswith("characters that matplotlib's font lacks; --json has them.\n")
    path.unlink()
    with pytest.raises(DataError, match="more than 20 answers are too many for one picture"):
        write_png(path, iter([row] * 21))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_nothing_is_refused(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "r", "t", "--output", "a.png"]) == 2
    assert capsys.readouterr().err.endswith(", or a folder, whose name has no ending. A picture needs --attention.\n")
    assert main(["predict", "r", "t", "--output", "a.gif", "--attention"]) == 2
    assert capsys.readouterr().err.endswith(", .conllu or .png, or a folder, whose name has no ending.\n")
