"""Completion in bash itself, and against what the commands' own parsers know."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from recurra.api.demos import DEMOS
from recurra.api.explaining import TOPICS
from recurra.api.schema import read_settings
from recurra.cli import main
from recurra.cli.arguments import parser_of
from recurra.cli.commands import COMMANDS
from recurra.cli.completion import SHELLS, names, verbs
from recurra.cli.completion.verbs import KINDS, NAMES
from recurra.data.embedded import EMBEDDED
from recurra.tasks import TASKS

VERBS = verbs()
# Every metavar of which nothing can be offered, so that a new one is thought of once.
UNKNOWABLE = {
    "A", "A-B", "B", "BYTES", "C", "CELLS", "COLUMN", "E", "FIELD=TEXT", "H", "HZ", "K", "KEY=VALUE", "MS", "N",
    "N,N,...", "NAME", "P", "PREFIX", "ROW", "S", "SECONDS", "T", "TEXT", "TIMES", "URL", "WORD", "WORDS", "X",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a config, a data file, a run in it, and one under runs/."""
    for run in ("first", "runs/my run", "runs/second"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "run.json").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "config.yaml").touch()
    return tmp_path


def completed(lines: Sequence[Sequence[str]], place: Path) -> list[set[str]]:
    """What bash offers at the end of each line: the words of COMPREPLY, and `-o` with what it leaves to readline."""
    (place / "script.bash").write_text(SHELLS["bash"](VERBS))
    ask = ["source ./script.bash", 'compopt() { echo "-o $2"; }']
    for words in lines:
        ask.append(f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}")
        ask.append("_recurra; printf '%s\\n' \"${COMPREPLY[@]}\" --end--")
    answer = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(ask)], cwd=place, capture_output=True, text=True, timeout=60
    )
    assert answer.stderr == ""
    parts = answer.stdout.split("--end--\n")[:-1]
    return [{line for line in part.splitlines() if line} for part in parts]


def test_bash_offers_commands_options_values_names_and_runs(place: Path) -> None:
    expected: Mapping[str, set[str]] = {
        "tr": {"train", "transcribe"},
        "data ": {"list", "export"},
        "data export sun": {"sunspots"},
        "init cla": {"classification"},
        "init --force lang": {"language_model"},
        "init -o config.yaml lang": {"language_model"},
        "init classification ": {"-o default"},
        "demo na": {"names"},
        "explain tok": {"tokenizer"},
        "train --ran": {"--ranks", "--rank-timeout"},
        "train --ranks ": set(),
        "train config.yaml --device ": {"auto", "cpu", "cuda"},
        "train config.yaml --set training.ep": {"-o nospace", "training.epochs="},
        "check config.yaml --set model.encoder.hid": {"-o nospace", "model.encoder.hidden_size="},
        "predict first --set data.on": {"-o nospace", "data.on_error="},
        "predict first --set training.": set(),
        "train --resume f": {"-o filenames", "first"},
        "evaluate first --weights bf": {"bfloat16", "bfloat16_products"},
        "evaluate first --weights = bf": {"bfloat16", "bfloat16_products"},
        "evaluate first --weights =": {"float32", "bfloat16", "bfloat16_products", "int8"},
        "predict ": {"-o filenames", "first", "runs/my run", "runs/second"},
        "predict runs/s": {"-o filenames", "runs/second"},
        "predict em": {"-o filenames", "-o dirnames"},
        "predict first ": set(),
        "predict --weights int8 fi": {"-o filenames", "first"},
        "predict --weights = int8 fi": {"-o filenames", "first"},
        "predict first a text --output ": {"-o default"},
        "serve first fi": {"-o filenames", "first"},
        "serve first runs/second --port 80 fi": {"-o filenames", "first"},
        "data export names ": {"-o dirnames"},
        "export first --for ": {"any", "onnxruntime", "openvino"},
        "gone ": set(),
        "completion ": {"bash", "zsh", "fish"},
    }
    lines = [["recurra", *line.split(" ")] for line in expected]
    assert dict(zip(expected, completed(lines, place), strict=True)) == dict(expected)


def test_bash_offers_every_option_of_every_command(place: Path) -> None:
    offered = completed([["recurra", *word.split(), "-"] for word in COMMANDS], place)
    parsers = (parser_of(word, entry) for word, entry in COMMANDS.items())
    known = [{name for action in parser._actions for name in action.option_strings} for parser in parsers]
    assert offered == known


def test_a_tab_in_bash_completes_a_command_and_a_run(place: Path) -> None:
    (place / "script.bash").write_text(SHELLS["bash"](VERBS))
    ours, theirs = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    environment = {**os.environ, "PS1": "", "TERM": "dumb"}
    bash = ["bash", "--noprofile", "--norc", "-i"]
    with subprocess.Popen(bash, cwd=place, env=environment, start_new_session=True, **streams) as process:
        os.close(theirs)
        os.write(ours, b"recurra() { printf '<%s>' ask \"$@\"; }; source ./script.bash\n")
        os.write(ours, b"recurra pred\truns/m\t\n")
        seen, end = b"", time.monotonic() + 30
        while b"/>" not in seen and time.monotonic() < end:
            seen += os.read(ours, 4096)
        process.kill()
    os.close(ours)
    assert b"<ask><predict><runs/my run/>" in seen  # the stroke is readline's: what was completed is a folder


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_holds_every_command_option_and_name(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    words = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    flags = {name for verb in VERBS for flag in verb.flags for name in flag.names}
    assert {name.lstrip("-") for name in flags} <= {word.lstrip("-") for word in words}
    assert {*" ".join(COMMANDS).split(), *TASKS, *DEMOS, *TOPICS, *EMBEDDED} <= words


def test_names_are_those_of_the_registries() -> None:
    assert names.tasks() == tuple(TASKS)
    assert names.demos() == tuple(DEMOS)
    assert names.topics() == tuple(TOPICS)
    assert names.datasets() == tuple(EMBEDDED)
    keys = {key.rstrip("=") for key in names.options()}
    settings = read_settings({"data": {"train": "train.csv"}}).tree
    encoder = settings["model"]["encoder"].keys() - {"name"}
    assert keys == {
        *(f"{part}.{name}" for part in ("data", "training") for name in settings[part]),
        *(f"model.encoder.{name}" for name in encoder),
    }


def test_tasks_of_installed_packages_are_offered_behind_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"recurra.tasks": [SimpleNamespace(name="birdsong"), SimpleNamespace(name="tagging")]}
    monkeypatch.setattr("recurra.cli.completion.names.entry_points", lambda group: installed[group])
    assert names.tasks() == (*TASKS, "birdsong")


def test_what_each_metavar_wants_is_known() -> None:
    actions = [action for word, entry in COMMANDS.items() for action in parser_of(word, entry)._actions]
    metavars = {str(action.metavar) for action in actions if action.metavar and not action.choices}
    assert metavars - set(KINDS) - set(NAMES) == UNKNOWABLE
