"""The program as a process: light, and quiet when its reader goes away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["torch", "numpy", "pandas", "sklearn", "matplotlib", "rich", "babel", "tokenizers", "pydantic", "yaml"]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


def buffered() -> dict[str, str]:
    """An environment in which output waits in a buffer, and what is left there is written at the end."""
    return {**os.environ, "PYTHONUNBUFFERED": ""}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["trian"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = f"import sys; from recurra.cli import main; main({words!r}); print([m for m in {HEAVY} if m in sys.modules])"
    assert python(code).stdout.splitlines()[-1] == "[]"


MISTAKEN = [
    (["check", "gone.yaml"], "gone.yaml: no such file."),
    (["train", "gone.yaml"], "gone.yaml: no such file."),
    (["train", "bad.yaml"], "bad.yaml:2: "),
    (["train", "good.yaml", "--set", "lr"], "--set lr: expected dotted.ke"),
    (["train", "--resume", "gone"], "gone: no such folder; expected a run"),
    (["doctor", "gone.yaml"], "gone.yaml: no such file."),
    (["init", "classification", "gone.csv"], "gone.csv: no such file."),
    (["predict", "gone", "a text"], "gone: no such folder; expected a run"),
    (["predict", "begun", "a text"], "begun: has no model.safetensors: its training has not ended."),
    (["predict", "done", "--input", "gone.csv"], "gone.csv: no such file."),
    (["evaluate", "gone"], "gone: no such folder; expected a run"),
    (["evaluate", "done", "gone.csv"], "gone.csv: no such file."),
    (["generate", "."], ".: not a run folder: it has no run.json."),
    (["inspect", "gone", "a text"], "gone: no such folder; expected a run"),
    (["export", "gone", "--torch", "x.safetensors"], "gone: no such folder; expected a run"),
    (["serve", "done", "gone"], "gone: no such folder; expected a run"),
]


def test_a_path_that_leads_nowhere_is_named_before_torch_is_imported(tmp_path: Path) -> None:
    for name in ("begun", "done"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text('{"format": 2, "recurra": "0.1.0"}')
    (tmp_path / "done/model.safetensors").touch()
    (tmp_path / "bad.yaml").write_text("task: [\n")
    (tmp_path / "good.yaml").write_text("task: classification\n")
    code = (
        "import contextlib, io, json, sys; from recurra.cli import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as said: code = main(words)\n"
        "    heavy = [m for m in ('torch', 'numpy', 'fastapi') if m in sys.modules]\n"
        "    print(json.dumps([code, said.getvalue(), heavy]))\n"
    )
    words = json.dumps([words for words, _ in MISTAKEN])
    run = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    for (words, said), line in zip(MISTAKEN, run.stdout.splitlines(), strict=True):
        code, err, heavy = json.loads(line)
        assert (code, err[: len(said)], heavy) == (2, said, []), words


def test_a_mistaken_path_imports_no_other_command_and_neither_configs_nor_formats() -> None:
    code = (
        "import sys; from recurra.cli import main; main(['predict', 'gone', 'a text'])\n"
        "print(*[m for m in sys.modules if m.startswith('recurra.')])"
    )
    loaded = set(python(code).stdout.split())
    assert {name for name in loaded if name.startswith("recurra.cli.commands.")} == {"recurra.cli.commands.predict"}
    assert {name.split(".")[1] for name in loaded} == {"api", "base", "cli"}


def test_the_module_is_the_same_program() -> None:
    run = subprocess.run([sys.executable, "-m", "recurra", "trian"], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "recurra: unknown command 'trian'. Did you mean 'train'?\n"


def test_output_that_a_stream_cannot_encode_is_escaped() -> None:
    code = "import sys; sys.argv = ['recurra', 'trän']; from recurra.cli import main; sys.exit(main())"
    run = python(code, PYTHONIOENCODING="ascii")
    assert run.returncode == 2
    assert run.stderr.startswith("recurra: unknown command 'tr\\xe4n'.")


# What Python does at the end of a process, and what it would do after that, which the console leaves out.
ENDING = """
import atexit, os, sys, threading, time
from recurra.cli import console

class Module:
    def __del__(self, write=os.write): write(1, b"torn down ")

kept = Module()
atexit.register(lambda: print("atexit", end=" "))
first = threading.Thread(target=lambda: (time.sleep(0.05), print("thread", end=" ")))
first.start()
sys.argv = ["recurra", *sys.argv[1:]]
sys.exit(console())
"""


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [(["--version"], 0, "recurra 0.1.0\nthread atexit "), (["trian"], 2, "thread atexit ")],
)
def test_the_process_does_what_python_does_at_its_end_but_takes_nothing_apart(
    words: list[str], code: int, out: str
) -> None:
    run = subprocess.run([sys.executable, "-c", ENDING, *words], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (code, out)


def test_the_process_ends_as_python_ends_it_where_something_waits_for_that() -> None:
    traced = ENDING.replace("sys.exit(", "sys.setprofile(lambda *_: None); sys.exit(")
    assert python(traced.replace("*sys.argv[1:]", "'--version'")).stdout.endswith("thread atexit torn down ")


FULL = "sys.argv = ['recurra', '--version']; process.console()"
FULL_AT_LAST = "process.main = lambda: 0; atexit.register(print, 'late'); process.console()"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("code", [FULL, FULL_AT_LAST])
def test_output_that_the_disk_cannot_hold_is_a_failure(code: str) -> None:
    code = f"import atexit, sys; from recurra.cli import process; {code}"
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=buffered()
        )
    assert run.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("sys.argv = ['recurra', 'trian']; process.console()", 2),
        ("sys.argv = ['recurra', '--debug', 'trian']; process.console()", 2),
        ("sys.argv = ['recurra']; process.console()", 2),
        ("sys.argv = ['recurra', '--version']; process.console()", 0),
    ],
)
def test_a_message_that_the_disk_cannot_hold_takes_no_other_code_with_it(code: str, ends: int) -> None:
    code = f"import sys; from recurra.cli import process; {code}"
    with open("/dev/full", "w") as full:
        run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, timeout=60)
    assert run.returncode == ends


def test_a_message_whose_reader_has_gone_takes_no_other_code_with_it() -> None:
    code = "import sys; from recurra.cli import console; sys.argv = ['recurra', 'trian']; console()"
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=writer, timeout=60)
    os.close(writer)
    assert run.returncode == 2


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_are_no_failure_and_no_file_takes_their_place(closed: tuple[int, ...]) -> None:
    # What is opened first of all gets the lowest number that is free.
    code = (
        "import os, sys; from recurra.cli import main; sys.argv = ['recurra', '--version']; code = main(); "
        "file = os.open(os.devnull, os.O_RDONLY); os._exit(code if file > 2 else 99)"
    )

    def close() -> None:
        for number in closed:
            os.close(number)

    run = subprocess.run([sys.executable, "-c", code], preexec_fn=close, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("recurra ") == (1 not in closed)


def test_a_text_in_utf_8_is_read_in_a_c_locale_too() -> None:
    code = (
        "import sys; from pathlib import Path; from recurra.cli.arguments import parse; "
        "from recurra.cli.commands import COMMANDS; "
        "args = parse('predict', COMMANDS['predict'], sys.argv[1:]); print(ascii([args.texts, args.run]))"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = subprocess.run(
        [sys.executable, "-c", code, "Köln".encode(), "Köln".encode()],
        capture_output=True, text=True, timeout=60, env={**os.environ, **locale},
    )  # fmt: skip
    assert run.stdout == "[['K\\xf6ln'], PosixPath('K\\udcc3\\udcb6ln')]\n"


@pytest.mark.parametrize("end", ["main(['--help'])", "console()"])
def test_a_reader_that_goes_away_ends_the_program_quietly(end: str) -> None:
    code = f"from recurra.cli import console, main; import sys; sys.argv = ['recurra', '--help']; sys.exit({end})"
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, env=buffered()
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (1, "")


def test_every_name_of_the_api_is_there() -> None:
    from recurra import api

    assert [name for name in api.__all__ if getattr(api, name).__name__ != name] == []
    assert dir(api) == sorted(api.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'predcit'"):
        _ = api.predcit
