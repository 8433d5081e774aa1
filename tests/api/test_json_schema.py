"""The JSON Schema takes what `check` takes, and says of each option what the reference says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from recurra import api
from recurra.api.demos import DEMOS
from recurra.api.editors import MODELINE, SCHEMA_FILE
from recurra.api.schema import SCHEMA, read_settings, schema_for
from recurra.base.errors import ConfigError
from recurra.base.option import OneOf, Opt
from recurra.cli import main
from recurra.config import load, parse
from recurra.config.json_schema import value
from recurra.config.values import MisfitError, fit
from recurra.models import ENCODERS
from recurra.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(ROOT.glob("examples/*/config.yaml"))


@cache
def validator() -> Draft7Validator:
    schema = api.json_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def mistakes(config: Mapping[str, Any]) -> list[str]:
    """What an editor would mark, each with its place."""
    plain = json.loads(json.dumps(config))
    return [".".join(map(str, error.absolute_path)) for error in validator().iter_errors(plain)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_are_right(path: Path) -> None:
    assert mistakes(load(path).tree) == []


@pytest.mark.parametrize("name", DEMOS)
def test_demos_are_right(name: str) -> None:
    settings = DEMOS[name].settings
    assert mistakes({**settings, "data": {"train": "train.csv", **settings.get("data", {})}}) == []


def test_what_init_writes_is_right_and_names_the_schema(tmp_path: Path) -> None:
    rows = "text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(40))
    (tmp_path / "texts.csv").write_text(rows)
    text = api.init("classification", tmp_path / "texts.csv")
    assert text.splitlines()[0] == MODELINE == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    assert mistakes(parse(text, "config.yaml").tree) == []


@pytest.mark.parametrize("task", TASKS)
def test_a_config_of_every_task_with_every_default_is_right(task: str) -> None:
    config: dict[str, Any] = {"task": task, "data": {"train": "train.csv"}}
    assert mistakes(config) == []
    try:
        resolved = read_settings(config).tree
    except ConfigError:  # a task of which a column must be named
        return
    assert mistakes(resolved) == []


WRONG = [
    ({"task": "lsmt"}, "task"),
    ({"task": {"name": "taging"}}, "task.name"),
    ({"tsk": "tagging"}, ""),
    ({"data": {}}, "data"),
    ({"data": {"train": "a", "spilt": 1}}, "data"),
    ({"training": {"epochs": -1}}, "training.epochs"),
    ({"training": {"epochs": "ten"}}, "training.epochs"),
    ({"training": {"optimizer": "adamm"}}, "training.optimizer"),
    ({"training": {"optimizer": {"lr": "fast"}}}, "training.optimizer.lr"),
    ({"model": {"head": "tags"}}, "model.head"),
    ({"model": {"encoder": {"hiden_size": 8}}}, "model.encoder"),
    ({"model": {"encoder": {"cell": "lsmt"}}}, "model.encoder.cell"),
    ({"model": {"encoder": {"name": "identity", "hidden_size": 8}}}, "model.encoder"),
    ({"task": "tagging", "model": {"name": "encoder_decoder"}}, "model.name"),
    ({"data": {"train": "a", "split": {"name": "group_folds"}}}, "data.split"),
]


@pytest.mark.parametrize(("config", "place"), WRONG, ids=lambda given: str(given)[:40])
def test_what_check_refuses_is_marked_at_its_place(config: Mapping[str, Any], place: str) -> None:
    whole = {"data": {"train": "train.csv"}, **config}
    assert set(mistakes(whole)) == {place}
    with pytest.raises(ConfigError):
        read_settings(whole)


KINDS: list[tuple[Any, Opt]] = [
    (int, Opt("", ge=1, lt=5)),
    (float, Opt("", gt=0, le=2)),
    (bool, Opt("")),
    (str, Opt("")),
    (str, Opt("", choices=("a", "b"))),
    (int | None, Opt("", ge=0)),
    (list[str], Opt("")),
    (tuple[int, ...], Opt("", ge=1)),
    (tuple[float, float], Opt("")),
    (dict[str, float] | str, Opt("")),
]
VALUES = [
    None, True, False, 0, 1, 4, 5, -1, 0.5, 2.5, "a", "b", "c", "yes", "Off", [], [1], [1, 2], ["a"], [1, "a"], {},
    {"x": 1}, {"x": "a"}, {"x" * 101: 1},
]  # fmt: skip


@pytest.mark.parametrize(("kind", "note"), KINDS, ids=str)
def test_a_value_fits_the_schema_of_an_option_where_it_fits_the_option(kind: Any, note: Opt) -> None:
    schema = Draft7Validator(value(kind, note))
    for given in VALUES:
        try:
            fit(kind, note, given)
        except MisfitError:
            assert not schema.is_valid(given), given
        else:
            assert schema.is_valid(given), given


def test_an_option_has_its_meaning_bounds_and_default() -> None:
    definitions = validator().schema["definitions"]
    of_first = schema_for("classification")
    for option in of_first.options(("model", "encoder"), ENCODERS["recurrent"]):
        said = definitions["encoder.recurrent"]["properties"][option.name]
        assert said["description"].startswith(option.note.doc)
        assert said.get("default") == option.default or isinstance(option.note, OneOf) or option.required
    hidden = definitions["encoder.recurrent"]["properties"]["hidden_size"]
    assert (hidden["type"], hidden["minimum"]) == ("integer", 1)
    assert set(SCHEMA.sections) == set(validator().schema["properties"])


def test_the_verb_prints_and_writes_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "json_schema", lambda *, cells, spaces: validator().schema)  # made once: it takes a second
    assert main(["schema"]) == 0
    assert main(["schema", "-o", str(tmp_path / "schema.json")]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "schema.json").read_text()
    assert json.loads(printed) == validator().schema


@cache
def search_validator() -> Draft7Validator:
    schema = api.json_schema(spaces=True)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


SPACES: dict[str, Any] = {
    "data": {"train": "train.csv"},
    "task": {"tokenizer": {"choices": ["words", "characters"]}, "min_count": {"low": 1, "high": 4}},
    "model": {
        "encoder": {
            "cell": {"choices": ["lstm", "gru_reset_before"]}, "hidden_size": {"low": 32, "high": 128, "log": True},
            "dropout": {"low": 0, "high": 0.5, "step": 0.1, "default": 0.1},
            "bidirectional": {"choices": [True, False]},
        },
        "inputs": {"name": {"choices": ["tokens", "characters"]}},
    },
    "training": {
        "optimizer": {"name": "adam", "lr": {"low": 0.0005, "high": 0.02, "log": True}},
        "schedule": {"choices": ["constant", {"name": "cosine"}]},
    },
}  # fmt: skip


def test_a_space_is_right_in_the_schema_of_searches_and_wrong_in_the_other() -> None:
    assert [error.message for error in search_validator().iter_errors(SPACES)] == []
    assert len(mistakes(SPACES)) > 3
    assert [*search_validator().iter_errors(load(EXAMPLES[0]).tree)] == []


@pytest.mark.parametrize(
    ("path", "space"),
    [
        ("model.encoder.hidden_size", {"low": 1.5, "high": 4}),  # whole numbers
        ("model.encoder.hidden_size", {"low": 1}),
        ("model.encoder.hidden_size", {"low": 0, "high": 4}),  # the option's own bound
        ("model.encoder.cell", {"low": 1, "high": 2}),  # words
        ("model.encoder.cell", {"choices": ["lstm"]}),
        ("training.optimizer", {"choices": ["adam", "sgd"], "log": True}),
        ("data.train", {"choices": ["a.csv", "b.csv"]}),
    ],
)
def test_a_space_that_is_none_is_wrong(path: str, space: Mapping[str, Any]) -> None:
    config: Any = space
    for key in reversed(path.split(".")):
        config = {key: config}
    assert [*search_validator().iter_errors({"data": {"train": "train.csv"}, **config})] != []


def test_weights_of_labels_that_are_called_low_and_high_are_no_space() -> None:
    config = {"data": {"train": "train.csv"}, "task": {"class_weights": {"low": 2.0, "high": 1.0}}}
    assert [*search_validator().iter_errors(config)] == []
