"""Words in, calls to the api, text and JSON out, and the exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import signal
import sys
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from recurra import __version__
from recurra.api.schema import SCHEMA
from recurra.base.errors import ConfigError, DataError, RecurraError, RunError, ShapeError, TrainingError
from recurra.base.shell import as_word
from recurra.cli import main
from recurra.cli.commands import COMMANDS
from recurra.cli.terminal import put_json
from recurra.cli.texts import from_standard_input

Capture = pytest.CaptureFixture[str]


def test_the_overview_names_every_command(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {word} " in out for word in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"recurra {__version__}\n"


def test_no_command_is_an_input_mistake(capsys: Capture) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: recurra COMMAND")


def test_the_options_that_help_sets_are_there(capsys: Capture) -> None:
    for word in COMMANDS:
        assert main([*word.split(), "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    paths = set(re.findall(r"(?<![\w/-])((?:task|data|model|training)(?:\.\w+)+)=", said))
    assert {"model.encoder.hidden_size", "model.encoder.forget_bias"} <= paths
    assert [path for path in paths if path not in SCHEMA.places(path.rpartition(".")[2], path.split(".")[:-1])] == []


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_has_help_with_examples(word: str, capsys: Capture) -> None:
    assert main([*word.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: recurra {word} ")
    assert f"examples:\n  recurra {word}" in out


def test_a_group_of_commands_has_help(capsys: Capture) -> None:
    assert main(["data", "--help"]) == 0
    assert "data export  write" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian", "c.yaml"], "recurra: unknown command 'trian'. Did you mean 'train'?"),
        (["xyzzy"], "recurra: unknown command 'xyzzy'. See `recurra --help`."),
        (["--versoin"], "recurra: unknown option '--versoin'. See `recurra --help`."),
        (["dat", "list"], "recurra: unknown command 'dat'. Did you mean 'data'?"),
        (["data"], "recurra data: expected one of: data list, data export."),
        (["data", "lst"], "recurra: unknown command 'data lst'. Did you mean 'data list'?"),
        (["train", "c.yaml", "--sett", "a=1"], "recurra train: unknown option '--sett'. Did you mean '--set'?"),
        (["train", "c.yaml", "--sett=a=1"], "recurra train: unknown option '--sett'. Did you mean '--set'?"),
        (["train", "c.yaml", "--see=3"], "recurra train: unknown option '--see'. Did you mean '--seed'?"),
        (["train", "c.yaml", "-z"], "recurra train: unknown option '-z'. See `recurra train --help`."),
        (["check"], "recurra check: the following arguments are required: CONFIG. See `recurra check --help`."),
        (["check", "a", "b"], "recurra check: unexpected argument 'b'. See `recurra check --help`."),
        (["check", "a", "--set"], "recurra check: argument --set: expected one argument. See `recurra check --help`."),
        (["train"], "recurra train: expected either CONFIG or --resume RUN. See `recurra train --help`."),
        (["train", "c", "--resume", "r"], "recurra train: expected either CONFIG or --resume RUN."),
        (["train", "--resume", "r", "--seed", "0", "--set", "a=1", "--out", "o"],
         "recurra train: a resumed run keeps its folder and seed; leave out --out, --seed."),
        (["train", "c", "--seed", "-1"], "recurra train: argument --seed: expected"),
        (["train", "c", "--seed", "1.5"], "recurra train: argument --seed: expected a whole number from 0, got '1.5'"),
        (["train", "c", "--seed", "9" * 5000], "recurra train: argument --seed: expected a whole number from 0"),
        (["evaluate", "r", "f", "--split", "dev"], "recurra evaluate: --split chooses a part of the run's own data;"),
        (["predict", "r"], "recurra predict: expected either TEXT, or --input FILE, or - to read standard input."),
        (["predict", "r", "a", "--input", "f"], "recurra predict: expected either TEXT, or --input FILE"),
        (["predict", "r", "-", "a"], "recurra predict: - reads standard input, and stands alone."),
        (["predict", "r", "a", "--json", "--output", "x.csv"], "recurra predict: --json prints and --output writes"),
        (["predict", "r", "a", "--output", "x.xlsx"], "--output x.xlsx: expected a name that ends in .csv, .tsv"),
        (["predict", "r", "a", "--output", "no/x.csv"], "--output no/x.csv: there is no folder 'no'."),
        (["init", "classification", "f", "--force"], "recurra init: --force has no effect without --output."),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(
    words: list[str], message: str, api: Any, capsys: Capture
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    assert api.asked == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError(["c.yaml:1: a.", "c.yaml:2: b."]), 2, "c.yaml:1: a.\nc.yaml:2: b.\n"),
        (DataError("x.csv:3: bad."), 2, "x.csv:3: bad.\n"),
        (ShapeError("h0 has shape."), 2, "h0 has shape.\n"),
        (RunError("r: not a run."), 2, "r: not a run.\n"),
        (TrainingError("step 3: the loss is nan."), 1, "step 3: the loss is nan.\n"),
        (RecurraError("no."), 1, "no.\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (BrokenPipeError(), 1, ""),
        (OSError(28, "No space left on device", "runs/x"), 1, "runs/x: No space left on device.\n"),
        (MemoryError(), 1, "Out of memory. A smaller batch, shorter sequences or a smaller model need less.\n"),
        (IndexError("7"), 1, "recurra failed: IndexError: 7. Run again with --debug to see where.\n"),
        (DataError("escape \x1b[31m"), 2, "escape \\x1b[31m\n"),
    ],
)
def test_an_error_is_its_sentence_and_its_exit_code(
    error: BaseException, code: int, message: str, api: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    api.fail = error
    assert main(["evaluate", "r"]) == code
    assert capfd.readouterr() == ("", message)


@pytest.mark.parametrize("words", [["--debug", "evaluate", "r"], ["evaluate", "r", "--debug"]])
def test_debug_shows_the_traceback(words: list[str], api: Any, capsys: Capture) -> None:
    api.fail = DataError("x.csv:3: bad.")
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("\nx.csv:3: bad.\n")


def test_sigterm_outside_of_training_unwinds_and_exits_with_143(api: Any, capsys: Capture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    api.while_training = lambda watch: os.kill(os.getpid(), signal.SIGTERM)
    assert main(["train", "c.yaml"]) == 143
    assert capsys.readouterr().err == "Terminated.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_init_prints_a_config_or_writes_it_once(api: Any, tmp_path: Path, capsys: Capture) -> None:
    assert main(["init", "classification", "f.csv"]) == 0
    assert capsys.readouterr() == ("task: classification\n", "")
    assert api.asked == [("init", {"task": "classification", "file": Path("f.csv")})]
    assert main(["init", "speech", "f.csv", "--head", "ctc", "--lexicon", "words.dict"]) == 0
    given = {"task": "speech", "file": Path("f.csv"), "head": "ctc", "lexicon": Path("words.dict")}
    assert api.asked[-1] == ("init", given)
    capsys.readouterr()
    config = tmp_path / "c.yaml"
    assert main(["init", "classification", "f.csv", "-o", str(config)]) == 0
    assert config.read_text() == "task: classification\n"
    assert capsys.readouterr() == ("", f"{config}: written. Next: recurra check {config}\n")
    config.write_text("mine")
    assert main(["init", "classification", "f.csv", "-o", str(config)]) == 2
    assert config.read_text() == "mine"
    assert main(["init", "classification", "f.csv", "-o", str(config), "--force"]) == 0
    assert config.read_text() == "task: classification\n"


def test_check_shows_facts_and_notes(api: Any, capsys: Capture) -> None:
    assert main(["check", "--set", "a=1", "c.yaml", "--set", "b=2", "--cell", "m.py"]) == 0
    given = {"config": Path("c.yaml"), "overrides": ["a=1", "b=2"], "cells": [Path("m.py")]}
    assert api.asked == [("check", given)]
    assert capsys.readouterr() == (
        "c.yaml: no mistakes found.\nfact         value\nparameters  12,345\n", "note: 2 texts overlap\n",
    )  # fmt: skip


def test_check_as_json_also_when_there_are_mistakes(api: Any, capsys: Capture) -> None:
    assert main(["check", "c.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True, "config": {"task": {"labels": ["a"]}}, "notes": ["2 texts overlap"], "facts": {"parameters": 12345},
    }  # fmt: skip
    api.fail = ConfigError(["c.yaml:1: a.", "c.yaml:2: b."])
    assert main(["check", "c.yaml", "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"ok": False, "problems": ["c.yaml:1: a.", "c.yaml:2: b."]}
    assert captured.err == ""


def test_train_hands_everything_over_and_says_what_to_do_next(api: Any, capsys: Capture) -> None:
    words = ["train", "c.yaml", "--out", "o", "--set", "a=1", "--seed", "7", "--device", "cpu", "--cell", "m.py"]
    assert main(words) == 0
    given = {
        "config": Path("c.yaml"), "out": Path("o"), "overrides": ["a=1"], "seed": 7, "device": "cpu",
        "cells": [Path("m.py")], "distributed": None, "grace": 0.0,
    }  # fmt: skip
    assert api.asked == [("train", given)]
    captured = capsys.readouterr()
    assert captured.out.startswith("reviews: good or bad?\n")
    assert "\n  recurra predict 'runs/my run' \"some text\"\n" in captured.err


def test_train_without_options_leaves_the_choice_to_the_config(api: Any) -> None:
    assert main(["train", "c.yaml"]) == 0
    given = {
        "config": Path("c.yaml"), "out": None, "overrides": [], "seed": None, "device": "auto", "cells": [],
        "distributed": None, "grace": 0.0,
    }  # fmt: skip
    assert api.asked == [("train", given)]


@pytest.mark.parametrize(
    ("words", "given"),
    [([], {}), (["--rank-timeout", "7.5"], {"timeout": 7.5}), (["--restarts", "0"], {"restarts": 0})],
)
@pytest.mark.parametrize("what", [["c.yaml"], ["--resume", "runs/x"]])
def test_train_on_ranks_hands_over_how(what: list[str], words: list[str], given: dict[str, Any], api: Any) -> None:
    api.Distributed = lambda ranks, **options: (ranks, options)
    assert main(["train", *what, "--ranks", "3", *words]) == 0
    assert api.asked[0][1]["distributed"] == (3, given)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(number: int, code: int, api: Any, capsys: Capture) -> None:
    api.stopped_by = number
    assert main(["train", "--resume", "runs/x", "--device", "cpu", "--set", "training.epochs=9"]) == code
    given = {
        "run": Path("runs/x"), "overrides": ["training.epochs=9"], "device": "cpu", "cells": [], "distributed": None,
        "grace": 0.0,
    }  # fmt: skip
    assert api.asked == [("resume", given)]
    name = signal.Signals(number).name
    how = "everything is saved. No epoch has been scored yet, so there are no best weights. Resume with: "
    assert capsys.readouterr() == ("", f"Stopped by {name}; {how}recurra train --resume runs/x\n")
    api.can_finish = True
    assert main(["train", "--resume", "runs/x"]) == code
    how = "everything is saved. Resume with: recurra train --resume runs/x\nTo end it now with its best weights so far"
    assert capsys.readouterr().err == f"Stopped by {name}; {how}: recurra finish runs/x\n"
    assert main(["train", "--resume", "runs/x", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"run": "runs/x", "stopped_by": name, "report": None}


def test_train_as_json_prints_json_only_on_standard_output(api: Any, capsys: Capture) -> None:
    assert main(["train", "c.yaml", "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["run"] == "runs/my run"
    assert got["stopped_by"] is None
    assert got["report"]["scores"][0] == {
        "name": "accuracy", "value": 0.9312, "unit": "0..1", "better": "higher", "split": "test",
    }  # fmt: skip


def test_a_person_at_a_terminal_has_three_seconds_for_a_second_ctrl_c(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recurra.cli.commands.train.is_terminal", lambda stream: True)
    assert main(["train", "c.yaml"]) == 0
    assert api.asked[0][1]["grace"] == 3.0


def test_finish_hands_the_run_over_and_shows_its_report(api: Any, capsys: Capture) -> None:
    assert main(["finish", "runs/x", "--device", "cpu"]) == 0
    assert api.asked == [("finish", {"run": Path("runs/x"), "device": "cpu", "cells": []})]
    assert capsys.readouterr().out.startswith("reviews: good or bad?\n")


def test_demo_trains_dates_unless_told_otherwise(api: Any, capsys: Capture) -> None:
    assert main(["demo"]) == 0
    assert main(["demo", "names", "--out", "x"]) == 0
    assert api.asked == [
        ("demo", {"name": "dates", "out": Path("runs/demo-dates")}), ("demo", {"name": "names", "out": Path("x")}),
    ]  # fmt: skip
    assert "recurra predict x" in capsys.readouterr().err


def test_evaluate_prints_the_report(api: Any, capsys: Capture) -> None:
    assert main(["evaluate", "r", "f.csv"]) == 0
    given = {"run": Path("r"), "file": Path("f.csv"), "split": "test", "overrides": [], "options": {}}
    given |= {"device": "auto", "cells": []}
    assert api.asked == [("evaluate", given)]
    captured = capsys.readouterr()
    assert captured.out.startswith("reviews: good or bad?\n")
    assert captured.err == "no baselines\n"
    assert main(["evaluate", "r", "--split", "dev"]) == 0
    assert api.asked[1] == ("evaluate", {**given, "file": None, "split": "dev"})
    capsys.readouterr()
    assert main(["evaluate", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["baselines"]["majority"][0]["value"] == 0.5


def test_predict_takes_texts_before_and_after_options(api: Any, capsys: Capture) -> None:
    assert main(["predict", "r", "--device", "cpu", "a b", "c", "--", "-d", "--debug"]) == 0
    assert api.texts == ["a b", "c", "-d", "--debug"]
    assert capsys.readouterr().out.splitlines()[0] == "good\t87.5 %\ta b"


def test_predict_as_json_prints_one_object_a_line(api: Any, capsys: Capture) -> None:
    api.rows = ({"label": "ä", "score": float("nan")}, {"label": "b", "score": 0.5})
    assert main(["predict", "r", "--json", "x", "y"]) == 0
    assert capsys.readouterr().out == '{"label": "ä", "score": null}\n{"label": "b", "score": 0.5}\n'


def test_predict_reads_a_file_as_the_run_says(api: Any, capsys: Capture) -> None:
    assert main(["predict", "r", "--input", "f.csv"]) == 0
    assert api.asked[0] == ("source_for", {"run": Path("r"), "file": Path("f.csv"), "overrides": [], "cells": []})
    assert api.texts == ["x", "y"]


@pytest.mark.parametrize("words", [["-"], ["--input", "-"]])
def test_predict_reads_standard_input_line_by_line(words: list[str], api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO("eins\r\n\nzwölf".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["predict", "r", *words]) == 0
    assert api.texts == ["eins", "", "zwölf"]


def test_standard_input_that_is_no_text_is_named_by_line() -> None:
    with pytest.raises(DataError, match=r"^standard input:2: byte 3 of the line, 0xFF, is not UTF-8\."):
        list(from_standard_input("t", io.BytesIO(b"a\nbc\xff\n")))
    first, *_ = islice(from_standard_input("t", io.BytesIO(b"a\nb\n\xff\n")), 1)
    assert [record.fields["t"] for record in first] == ["a", "b"]  # answered before the line that is none
    with pytest.raises(DataError, match=r"^standard input:1: the line is longer than 8,388,608 bytes"):
        list(from_standard_input("t", io.BytesIO(b"x" * ((8 << 20) + 1))))


def test_who_writes_a_line_is_answered_before_the_next(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process beside another: each line is written only when the answer to the one before has been read."""
    (questions, asks), (answers, says) = os.pipe(), os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(questions, encoding="utf-8"))
    monkeypatch.setattr(sys, "stdout", os.fdopen(says, "w", encoding="utf-8"))
    served = threading.Thread(target=main, args=[["predict", "r", "-", "--json"]], daemon=True)
    served.start()
    with open(asks, "wb", buffering=0) as question, open(answers, "rb", buffering=0) as answer:
        for text in ("eins", "zwei"):
            question.write(f"{text}\n".encode())
            ready, _, _ = select.select([answer], [], [], 20)
            assert ready, "no answer came"
            assert json.loads(answer.read(4096))["text"] == text
        question.write(b"one\ntwo\nthree")
        question.close()
        served.join(20)
        assert [json.loads(line)["text"] for line in answer.read(4096).splitlines()] == ["one", "two", "three"]
    sys.stdin.close()
    sys.stdout.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16"])
def test_json_is_json_in_every_locale(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"größe": ["日本", "𝄞", 'a "b"\\', "\udcf6", float("nan")]}
    out = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", out)
    put_json(value)
    put_json({"ä": 1}, indent=None)
    out.flush()
    text = out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    whole, last = text.rsplit("\n", 2)[:2]
    assert json.loads(whole) == {"größe": ["日本", "𝄞", 'a "b"\\', "\udcf6", None]}
    assert last == ('{"ä": 1}' if encoding == "utf-8" else '{"\\u00e4": 1}')


def test_a_config_on_standard_output_is_utf_8_in_every_locale(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "init", lambda task, file, head, lexicon, watch: "task:\n  text: größe\n", raising=False)
    for encoding in ("ascii", "utf-8"):
        out = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["init", "classification", "f.csv"]) == 0
        out.flush()
        assert out.buffer.getvalue().decode() == "task:\n  text: größe\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "r", "K\udcf6ln", "--output", "x.csv"],
        ["predict", "r", "K\udcf6ln"],
        ["generate", "r", "--prompt", "K\udcf6ln"],
        ["train", "c.yaml", "--set", "task.text=K\udcf6ln"],
    ],
)
def test_a_text_that_is_in_no_encoding_of_ours_is_named(words: list[str], api: Any, capsys: Capture) -> None:
    assert main(words) == 2
    assert re.search(r"^recurra \w+: [A-Z_=]+: byte 0xf6 is not UTF-8: ", capsys.readouterr().err)
    assert api.asked == []


def test_a_path_may_be_of_any_bytes(api: Any, capsys: Capture) -> None:
    assert main(["predict", "r\udcf6n", "a"]) == 0
    assert main(["predict", "r", "--input", "f\udcf6.csv"]) == 0
    assert api.asked[0][1]["run"] == Path("r\udcf6n")


def test_a_path_that_is_shown_can_be_copied_into_a_shell(api: Any, tmp_path: Path, capsys: Capture) -> None:
    odd = tmp_path / "my 'own' $HOME;config.yaml"
    assert main(["init", "classification", "f.csv", "-o", str(odd)]) == 0
    command = capsys.readouterr().err.partition("Next: ")[2]
    assert shlex.split(command) == ["recurra", "check", str(odd)]
    assert as_word("-x") == "./-x"


def test_explain_shows_text_or_data(api: Any, capsys: Capture) -> None:
    assert main(["explain", "cell", "lstm"]) == 0
    assert capsys.readouterr().out == "# lstm\nx\\x1b[31m\n"
    assert main(["explain", "--json", "--cell", "m.py"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "lstm", "states": ["h", "c"]}
    assert api.asked == [
        ("explain", {"topic": "cell", "name": "lstm", "cells": []}),
        ("explain", {"topic": None, "name": None, "cells": [Path("m.py")]}),
    ]


def test_data_lists_and_exports(api: Any, capsys: Capture) -> None:
    assert main(["data", "list"]) == 0
    captured = capsys.readouterr()
    assert captured.out == (
        "name    rows  columns         licence  description\nnames  4,321  name, language  Unicode  which language?\n"
    )
    assert "recurra init classification your_file.csv" in captured.err
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["columns"] == ["name", "language"]
    assert main(["data", "export", "names", "d"]) == 0
    assert capsys.readouterr().out == "d/train.csv\nd/test.csv\n"
    assert api.asked == [("data_export", {"name": "names", "folder": Path("d")})]


def test_predict_rounds_weights_as_it_is_told(api: Any, capsys: Capture) -> None:
    assert main(["predict", "r", "a"]) == 0
    assert api.weights == "float32"
    assert main(["predict", "r", "a", "--weights", "int8"]) == 0
    assert api.weights == "int8"
    assert main(["predict", "r", "a", "--weights", "int4"]) == 2
    assert "invalid choice: 'int4' (choose from" in capsys.readouterr().err


def test_evaluate_scores_a_run_with_rounded_weights(api: Any, capsys: Capture) -> None:
    assert main(["evaluate", "r", "--weights", "bfloat16"]) == 0
    assert api.weights == "bfloat16"
    assert api.asked[0][1]["run"].path == Path("r")
