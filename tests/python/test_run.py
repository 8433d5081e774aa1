"""A run as a person uses it: what comes back has the form of what was asked, and says what the command line says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from api.api_room import done
from python.python_room import Listening
from recurra import ConfigError, DataError, RunError

TEXTS = ["lovely item", "awful item"]


def by_command(*texts: str) -> list[dict[str, Any]]:
    """The answers of the command line."""
    return [json.loads(line) for line in done("predict", "run", "--json", *texts).out.splitlines()]


def dicts(answers: Any) -> list[dict[str, Any]]:
    return [answer.to_dict() for answer in answers]


def test_a_text_has_an_answer_and_a_list_of_texts_a_list_of_them(run: recurra.Run) -> None:
    one = run.predict(TEXTS[0])
    assert (one.to_dict(), one.text) == (by_command(TEXTS[0])[0], TEXTS[0])
    assert one.score == one.probabilities[one.label] == max(one.probabilities.values())
    assert dicts(run.predict(TEXTS)) == by_command(*TEXTS)
    assert run.predict({"text": TEXTS[0], "id": 3}) == one
    assert run.predict([]) == []


ROWS: dict[str, Callable[[], Any]] = {
    "a tuple": lambda: tuple(TEXTS),
    "an iterator": lambda: iter(TEXTS),
    "an array": lambda: np.array(TEXTS),
    "an array of objects": lambda: np.array(TEXTS, dtype=object),
    "dicts": lambda: [{"text": text, "label": None} for text in TEXTS],
    "both": lambda: [TEXTS[0], {"text": TEXTS[1]}],
}


@pytest.mark.parametrize("name", ROWS)
def test_texts_come_in_whatever_holds_them(name: str, run: recurra.Run) -> None:
    assert dicts(run.predict(ROWS[name]())) == by_command(*TEXTS)


def test_a_path_is_read_as_the_runs_config_says(run: recurra.Run) -> None:
    answers = run.predict(Path("data.csv"))
    assert [answer.text for answer in answers][1] == "lovely item b1"
    assert len(answers) == 40


def test_a_run_says_what_it_is(run: recurra.Run) -> None:
    assert (run.path, run.task, run.labels) == (Path("run").resolve(), "classification", ("bad", "good"))
    assert run.config["training"]["epochs"] == 2
    assert run.config["model"]["encoder"]["hidden_size"] == 4
    assert repr(run) == "Run('run'): classification"
    assert sum(p.numel() for p in run.model.parameters()) > 100
    assert Path(run, "report.html").is_file(), "a run is a path"


def test_scores_are_those_of_the_run_folder(run: recurra.Run) -> None:
    written = {
        one["name"]: one["value"] for one in json.loads(Path("run/scores.json").read_text()) if one["split"] == "test"
    }
    assert run.scores == run.report.scores == written
    majority = json.loads(Path("run/baselines.json").read_text())["majority"]
    assert run.report.baselines["majority"]["accuracy"] == next(
        one["value"] for one in majority if (one["name"], one["split"]) == ("accuracy", "test")
    )


@pytest.mark.parametrize(
    "rows",
    [
        "data.csv",
        Path("data.csv"),
        [{"text": "lovely", "label": "good"}, {"text": "grim", "label": "good"}],
        {"text": ["lovely", "grim"], "label": np.array(["good", "good"])},
    ],
    ids=["name", "path", "dicts", "columns"],
)
def test_other_data_is_scored_in_any_form(rows: Any, run: recurra.Run) -> None:
    found = run.evaluate(rows)
    if isinstance(rows, str | Path):
        said = done("evaluate", "run", rows, "--json").json
        assert found.to_dict() == said
        assert str(found).startswith("run on data.csv\n\nscore ")
    else:
        answers = run.predict(["lovely", "grim"])
        assert found.scores["accuracy"] == sum(one.label == "good" for one in answers) / 2


def test_a_split_of_its_own_data_is_scored(run: recurra.Run) -> None:
    assert run.evaluate().scores == pytest.approx(run.scores)
    assert run.evaluate(split="dev").split == "dev"


def test_what_it_looked_at_is_shown(run: recurra.Run) -> None:
    found = run.explain(TEXTS[0])
    assert found.tokens == tuple(TEXTS[0])
    assert len(found.saliency.steps) == len(TEXTS[0])


def test_a_run_is_exported_by_the_ending_of_the_name(run: recurra.Run) -> None:
    assert run.export("model.safetensors") == Path("model.safetensors")
    assert Path("model.safetensors").stat().st_size > 0
    with pytest.raises(
        ConfigError, match=r"^path: expected a name that ends in \.onnx or \.safetensors, got 'model\.pt'"
    ):
        run.export("model.pt")


def test_notes_go_to_the_callback_or_nowhere(run: recurra.Run, capsys: pytest.CaptureFixture[str]) -> None:
    heard = Listening()
    recurra.load("run", progress=heard).predict([" "])
    assert heard.notes == [
        "1 of 1 texts is blank (empty, or of white space and characters that cannot be seen), and has an empty answer; "
        "the first: records[0]."
    ]
    run.predict([" "])
    assert capsys.readouterr() == ("", "")
    recurra.load("run").predict([" "])
    assert capsys.readouterr().err == f"{heard.notes[0]}\n"


REFUSED: dict[str, tuple[Callable[[recurra.Run], Any], type[Exception], str]] = {
    "a file's name": (
        lambda run: run.predict("data.csv"),
        ConfigError,
        "data: 'data.csv' is the name of a file. For answers to its rows use predict(pathlib.Path('data.csv')); for an "
        "answer to these words, predict(['data.csv']).",
    ),
    "nothing": (
        lambda run: run.predict(None),  # type: ignore[call-overload]
        ConfigError,
        "data: expected a text, a list of texts or dicts, a data frame or a pathlib.Path, got None.",
    ),
    "a number": (
        lambda run: run.predict([5]),
        ConfigError,
        "records[0]: expected a text (str) or a dict, got int. Make a text of it: str(value).",
    ),
    "a table of texts": (
        lambda run: run.predict(np.array([["a", "b"]])),
        ConfigError,
        "records[0]: expected a text (str) or a dict, got ndarray.",
    ),
    "an option": (
        lambda run: run.predict(["a"], beam=3),
        ConfigError,
        "beam: has no effect, because a classification has no such option of predict. Leave it out.",
    ),
    "a row without the text": (
        lambda run: run.predict({"txt": "a"}), DataError, "records[0]: no column 'text'. Did you mean 'txt'?",
    ),
    "a file that is not there": (lambda run: run.predict(Path("gone.csv")), DataError, "gone.csv: no such file."),
    "a split": (
        lambda run: run.evaluate(split="tset"),
        ConfigError,
        "run: its data has no split 'tset'. Known: train, dev, test; or give a file.",
    ),
    "a split of other data": (
        lambda run: run.evaluate("data.csv", split="dev"),
        ConfigError,
        "split: chooses a part of the run's own data; leave it out beside other data.",
    ),
    "rows without labels": (lambda run: run.evaluate(["a"]), DataError, "records[0]: no column 'label'."),
    "columns of two lengths": (
        lambda run: run.evaluate({"text": ["a"], "label": []}),
        ConfigError,
        "data: expected a dict of columns of one length, such as {'text': [...], 'label': [...]}, got 'text': 1 "
        "values, 'label': 0 values. A single row goes into a list: [row].",
    ),
    "a row in the place of rows": (
        lambda run: run.evaluate({"text": "a", "label": "b"}),
        ConfigError,
        "data: expected a dict of columns of one length, such as {'text': [...], 'label': [...]}, got 'text': str, "
        "'label': str. A single row goes into a list: [row].",
    ),
    "a run that writes nothing": (
        lambda run: run.generate("a"),
        ConfigError,
        "run: is a run of task classification, expected one of task language_model, or another that writes. Use "
        "`recurra predict` here.",
    ),
    "a folder": (lambda run: recurra.load("data.csv"), RunError, "data.csv: not a run folder: it has no run.json."),
    "a path": (
        lambda run: recurra.load(5),  # type: ignore[arg-type]
        ConfigError,
        "path: expected a path, as text or pathlib.Path, got int.",
    ),
    "a device": (lambda run: recurra.load("run", device="cuda:99").predict("a"), ConfigError, "device 'cuda:99' "),
    "a callback": (
        lambda run: recurra.load("run", progress=print).predict("a"),  # type: ignore[arg-type]
        ConfigError,
        "progress: expected True, False, or an object with the methods note, start, step, scores, done, got "
        "builtin_function_or_method. docs/guide/python.md shows one.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_said_in_a_sentence(name: str, run: recurra.Run) -> None:
    call, kind, sentence = REFUSED[name]
    with pytest.raises(kind) as caught:
        call(run)
    assert str(caught.value).startswith(sentence)


def test_a_file_with_other_columns_or_signs_is_read_as_options_say(run: recurra.Run) -> None:
    by_name = run.evaluate("data.csv").scores
    plain = Path("data.csv").read_text(encoding="utf-8").splitlines()
    cells = [line.split(",") for line in plain[1:]]
    Path("other.txt").write_text(
        "\n".join(["verdict;body 😀", *(f"{b};{a}" for a, b in cells)]) + "\n", encoding="utf-8"
    )
    how: dict[str, Any] = {
        "format": "csv",
        "columns": {"text": "body 😀", "label": "verdict"},
        "delimiter": "semicolon",
    }
    assert run.evaluate("other.txt", **how).scores == by_name
    assert dicts(run.predict(Path("other.txt"), **how)) == dicts(run.predict(Path("data.csv")))
    Path("test.csv").write_text("\n".join(plain[:9]) + "\n", encoding="utf-8")
    assert run.evaluate(test=Path("test.csv")).scores == run.evaluate("test.csv").scores


KNOWN = "format, columns, delimiter, encoding, sheet, offsets, layout, on_error"
ODD_READING: dict[str, tuple[Callable[[recurra.Run], Any], str]] = {
    "unknown": (
        lambda run: run.evaluate("data.csv", colums=["a"]),
        f"colums: evaluate has no such option. Did you mean 'columns'? Known: {KNOWN}.",
    ),
    "unknown to predict": (
        lambda run: run.predict(Path("data.csv"), colum=["a"]),
        "colum: has no effect, because a classification has no such option of predict. Leave it out. How a file is "
        f"read: {KNOWN}.",
    ),
    "rows": (
        lambda run: run.predict(["a"], columns={"text": "body"}),
        "columns: says how a file is read, and the data are rows in memory. Leave it out, or give a pathlib.Path.",
    ),
    "rows of evaluate": (
        lambda run: run.evaluate([{"text": "a", "label": "good"}], encoding="gbk"),
        "encoding: says how a file is read, and the data are rows in memory. Leave it out, or give a pathlib.Path.",
    ),
    "a split beside a file": (
        lambda run: run.evaluate("data.csv", test="data.csv"),
        f"test: evaluate has no such option. Known: {KNOWN}.",
    ),
    "no plain value": (
        lambda run: run.evaluate("data.csv", columns=object()),
        "columns: expected text, numbers, lists or dicts, got object.",
    ),
}


@pytest.mark.parametrize(("ask", "said"), ODD_READING.values(), ids=ODD_READING.keys())
def test_an_option_of_reading_that_does_nothing_is_refused(
    ask: Callable[[recurra.Run], Any], said: str, run: recurra.Run
) -> None:
    with pytest.raises(ConfigError) as refused:
        ask(run)
    assert str(refused.value) == said
