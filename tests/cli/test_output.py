"""`--quiet`, `--no-color`, NO_COLOR and TERM=dumb mean the same for every command; the manual page is the help."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recurra import cli
from recurra.base.errors import DataError
from recurra.cli import main
from recurra.cli.arguments import parser_of
from recurra.cli.commands import COMMANDS
from recurra.cli.manual import manual
from recurra.cli.progress import NoProgress, ProgressBar, ProgressLines, watching
from recurra.cli.terminal import wanting

Capture = pytest.CaptureFixture[str]
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
ASKED = [
    ["init", "classification", "c.csv"],
    ["init", "classification", "c.csv", "-o", "new.yaml"],
    ["check", "c.yaml"],
    ["train", "c.yaml"],
    ["train", "c.yaml", "--json"],
    ["train", "--resume", "run"],
    ["finish", "run"],
    ["evaluate", "run"],
    ["predict", "run", "a text"],
    ["demo"],
    ["data", "list"],
    ["explain"],
    ["data", "export", "names"],
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_quiet_leaves_results_and_nothing_else(
    words: list[str], api: Any, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.csv").touch()
    assert main(words) == 0
    loud = capsys.readouterr()
    for switched in ([*words, "--quiet"], ["-q", *words]):
        Path("new.yaml").unlink(missing_ok=True)
        assert main(switched) == 0
        quiet = capsys.readouterr()
        assert (quiet.out, quiet.err) == (loud.out, "")


def test_messages_are_there_without_quiet_and_after_it(api: Any, capsys: Capture) -> None:
    assert main(["train", "c.yaml", "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["train", "c.yaml"]) == 0
    assert "Next:" in capsys.readouterr().err


def test_errors_and_their_codes_stay(api: Any, capsys: Capture) -> None:
    api.fail = DataError("c.csv:3: broken.")
    assert main(["train", "c.yaml", "--quiet"]) == 2
    assert capsys.readouterr().err == "c.csv:3: broken.\n"
    assert main(["trian", "--quiet"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err
    assert main(["--quiet"]) == 2
    assert capsys.readouterr().err.startswith("usage: recurra")


def test_behind_two_hyphens_a_switch_is_a_text(api: Any, capsys: Capture) -> None:
    assert main(["predict", "run", "--", "--quiet"]) == 0
    assert api.texts == ["--quiet"]


def report_on(screen: Terminal, words: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        assert main(["evaluate", "run", *words]) == 0
    return screen.getvalue()


@pytest.mark.parametrize(
    ("words", "environment", "coloured", "drawn"),
    [
        ([], {}, True, True),
        (["--no-color"], {}, False, True),
        ([], {"NO_COLOR": "1"}, False, True),
        ([], {"NO_COLOR": ""}, True, True),
        ([], {"TERM": "dumb"}, False, False),
    ],
)
def test_colours_are_where_they_are_wanted(
    words: list[str], environment: dict[str, str], coloured: bool, drawn: bool, api: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in report_on(Terminal(), words, monkeypatch)) == drawn
    bar = Terminal()
    with wanting(quiet=False, colour="--no-color" not in words), watching(bar) as callback:
        assert isinstance(callback, ProgressBar if drawn else ProgressLines)
        callback.start(10, 1)
    assert bool(COLOUR.search(bar.getvalue())) == coloured


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_quiet_training_shows_nothing(stream: Callable[[], io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    written = stream()
    with wanting(quiet=True, colour=True), watching(written) as callback:
        assert isinstance(callback, NoProgress)
        callback.note("read 3 rows")
        callback.start(10, 1)
        callback.scores(1, (), True)
    assert written.getvalue() == ""


def test_one_file_decides_on_colours_and_silence() -> None:
    room = Path(cli.__file__).parent
    for path in sorted(room.rglob("*.py")):
        if path.name == "terminal.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
        asked = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
        assert "Console" not in imported, path
        assert asked.isdisjoint({"sys.stderr.isatty", "sys.stdout.isatty", "stream.isatty"}), path


def test_the_manual_page_has_every_command_and_option() -> None:
    page = manual()
    plain = page.replace(r"\-", "-")
    sections = dict(zip(*[iter(re.split(r"^\.SS recurra (.*)$", plain, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert list(sections) == list(COMMANDS)
    for word, entry in COMMANDS.items():
        flags = {name for action in parser_of(word, entry)._actions for name in action.option_strings}
        shared = {"-h", "--help", "-q", "--quiet", "--no-color", "--debug"}
        assert flags - shared == set(re.findall(r"\\fB(-[\w-]+)", sections[word])) - shared


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_nothing_to_say_of_the_manual_page(capsys: Capture) -> None:
    assert main(["man"]) == 0
    page = capsys.readouterr().out
    made = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page, capture_output=True, text=True, timeout=60)
    assert (made.returncode, made.stderr) == (0, "")
    assert "train a model from a config" in " ".join(made.stdout.split())
