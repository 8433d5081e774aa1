"""Reports and training as text: aligned, never wrapped, safe against the data in them."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from cli.conftest import REPORT
from recurra.base.contracts import Progress, Report, Score, Table
from recurra.cli.progress import ProgressBar, ProgressLines, clock_time, epoch_line, watching
from recurra.cli.show import percent_or_number, report_json, show_report, text_table
from recurra.report import html

EXPECTED = """\
reviews: good or bad?

score     split  this model   majority
accuracy  test       93.1 %     50.0 %
log_loss  test    0.21 nats  0.69 nats

by class, test
class      f1   recall
bad    50.0 %  100.0 %
gut    25.0 %

confusion
true  bad    gut
bad     3  1,200
gut     0      7

fact        value
parameters  12,345
device      cpu
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_report_in_a_pipe_is_plain_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(REPORT)
    assert capsys.readouterr().out == EXPECTED


@pytest.mark.parametrize("no_color", [True, False])
def test_a_report_on_a_terminal_has_colours_unless_the_user_wants_none(
    no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    labels = Report("[red]t[/red]", (Score("f1[[bold]\x1b[31m]", 1.0, "0..1", "higher", "dev"),))
    show_report(labels)
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert "[red]t[/red]" in text
    assert "[bold]\\x1b[31m" in text
    assert "100.0 %" in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.getvalue())


def test_wide_and_combining_characters_stay_aligned() -> None:
    table = Table("", ("label", "n"), (("日本", 1), ("e\u0301", 22), ("abcd", 333)))
    assert text_table(table) == "label    n\n日本     1\ne\u0301       22\nabcd   333"


def test_large_tables_are_cut_aloud() -> None:
    many = Table("rows", ("n",), tuple((n,) for n in range(50)))
    assert text_table(many).splitlines()[-1] == "... 10 more rows; --json prints them."
    wide = Table("confusion", tuple("abcdefghijklmnop"), ())
    assert text_table(wide) == "confusion: 16 columns, too wide for text; --json prints it whole."


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.93149, "0..1", "93.1 %"),
        (1234.5, "tokens/s", "1,234 tokens/s"),
        (3.0, "", "3"),
        (float("nan"), "0..1", "nan"),
    ],
)
def test_a_score_is_shown_with_its_unit(value: float, unit: str, text: str) -> None:
    assert percent_or_number(Score("x", value, unit, "higher", "dev")) == text


def test_report_json_keeps_scores_as_numbers() -> None:
    data = report_json(REPORT)
    assert data["scores"][1] == {"name": "log_loss", "value": 0.21, "unit": "nats", "better": "lower", "split": "test"}
    assert data["tables"][0]["rows"] == [["bad", 3, 1200], ["gut", 0, 7]]
    assert data["facts"] == {"parameters": 12345, "device": "cpu"}


class CountedLoss:
    """A loss that counts how often it is read, as reading waits for the device."""

    def __init__(self) -> None:
        self.reads = 0

    def __float__(self) -> float:
        self.reads += 1
        return 0.4312


def progress_at(step: int, loss: Any) -> Progress:
    return Progress(step=step, epoch=2, loss=loss, tokens=100, lr=0.1, grad_norm=loss)


def test_lines_come_at_intervals_and_read_the_loss_only_then() -> None:
    now, stream, loss = [0.0], io.StringIO(), CountedLoss()
    callback = ProgressLines(stream, clock=lambda: now[0])
    callback.start(600, 10)
    for step in range(1, 101):
        callback.step(progress_at(step, loss), 12345.6, 83.0)
        now[0] += 0.3
    assert stream.getvalue().splitlines() == [
        f"epoch 2/10  step {step}/600  loss 0.4312  12,346 tokens/s  1:23 left" for step in (1, 35, 69)
    ]
    assert loss.reads == 3


def test_the_scores_of_an_epoch_are_one_line() -> None:
    line = "epoch 3/10  test accuracy 93.1 %, log_loss 0.21 nats  (best so far)"
    assert epoch_line(3, 10, REPORT.scores, True) == line
    assert epoch_line(3, 10, (), False) == "epoch 3/10  "


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.4, "0:07"), (750, "12:30"), (3723, "1:02:03"), (float("nan"), "?"), (float("inf"), "?"), (-1, "0:00")],
)
def test_time_left_reads_as_a_clock(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with watching(Terminal()) as callback:
        assert isinstance(callback, ProgressBar)
    with watching(io.StringIO()) as plain_watcher:
        assert isinstance(plain_watcher, ProgressLines)
    monkeypatch.setenv("TERM", "dumb")
    with watching(Terminal()) as dumb:
        assert isinstance(dumb, ProgressLines)


def test_the_bar_shows_epoch_step_loss_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    now, screen, loss = [0.0], Terminal(), CountedLoss()
    callback = ProgressBar(screen, clock=lambda: now[0])
    callback.step(progress_at(1, loss), 1.0, 1.0)  # before start: nothing to draw on
    callback.start(600, 10)
    for step in (120, 121):
        callback.step(progress_at(step, loss), 12345.6, 83.0)
    callback.scores(2, REPORT.scores, True)
    callback.done()
    callback.done()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert "120/600 loss 0.4312  12,346 tokens/s  1:23 left" in text
    assert "epoch 2/10  test accuracy 93.1 %, log_loss 0.21 nats  (best so far)" in text
    assert loss.reads == 1


def test_the_terminal_is_tidy_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()

    def fail() -> None:
        with watching(screen) as callback:
            callback.start(10, 1)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")  # the cursor is back


def test_a_share_looks_alike_in_the_terminal_and_in_the_page() -> None:
    table = Table("Pairs", ("true", "share", "nats"), (("spam", 0.0123456, 0.5), ("ham", 1.0, 0.25)))
    report = Report("r", (Score("accuracy", 0.98765, "0..1", "higher", "test"),), tables=(table,))
    page, text = html(report), text_table(table)
    for shown in ("1.2 %", "100.0 %", "0.5", "0.25"):
        assert f">{shown}</td>" in page
        assert shown in text
    assert ">98.8 %</td>" in page
    assert percent_or_number(report.scores[0]) == "98.8 %"
