"""What the verbs take from Python: paths as text, texts, dicts; the rest is refused with its type and the next step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from api.api_room import TINY, done, write_config
from recurra import api
from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError

TEXTS = ["lovely item", "awful item"]


class DataFrame:
    """As much of a frame of pandas as can be seen from outside."""

    columns = ("text", "label")

    def __iter__(self) -> Any:
        return iter(self.columns)

    def to_dict(self, orient: str = "dict") -> Any: ...


class Polars:
    columns = ("text",)

    def __iter__(self) -> Any:
        return iter(())

    def to_dict(self) -> Any: ...
    def to_dicts(self) -> Any: ...


def expected() -> list[dict[str, Any]]:
    return [json.loads(line) for line in done("predict", "run", "--json", *TEXTS).out.splitlines()]


def test_texts_dicts_and_records_are_rows_and_a_path_may_be_text(run: Path) -> None:
    records = [Record({"text": text}, Origin("mine")) for text in TEXTS]
    rows = [{"text": text, "label": "good", "id": 3} for text in TEXTS]
    for given in (TEXTS, tuple(TEXTS), iter(TEXTS), rows, records, [TEXTS[0], rows[1]]):
        assert list(api.predict("run", given)) == expected()
    for one in ({"text": TEXTS[0]}, TEXTS[0]):
        (answer,) = api.predict(api.open_run("run"), one)
        assert (answer["text"], answer["label"]) == (TEXTS[0], expected()[0]["label"])
    assert [row["text"] for row in api.predict("run", api.read_for("run", "data.csv"))][1] == "lovely item b1"


def test_every_verb_takes_a_path_as_text_and_a_config_as_a_dict(run: Path) -> None:
    config = {**TINY, "data": {"train": Path("data.csv")}}
    settings = ["training.epochs=1"]
    assert api.text_column("run") == "text"
    assert api.evaluate("run", "data.csv").title == "run on data.csv"
    assert api.evaluate(api.open_run("run")).title == "run on test"
    assert "train: data.csv" in api.init("classification", "data.csv")
    assert api.check("c.yaml").facts == api.check(config).facts
    assert api.check(config, overrides=settings).config["training"]["epochs"] == 1
    assert api.train("c.yaml", out="again", overrides=settings).run == Path("again")
    assert api.resume("again").report is not None
    assert api.train(config, overrides=settings).run == Path("runs/classification")
    assert api.doctor(config, steps=2, cells=[]).report.title.startswith("config after 2 steps")
    assert api.doctor("run").report.title.startswith("run, trained")
    assert api.inspect("run", TEXTS[0]).answer == api.inspect("run", {"text": TEXTS[0]}).answer
    assert api.export_torch("run", "weights.safetensors")
    assert api.data_export("topics", "topics")


def test_a_run_from_a_dict_is_the_run_of_its_file(run: Path) -> None:
    write_config(data={"train": "data.csv"})
    for name, config in (("file", "c.yaml"), ("dict", TINY)):
        api.train(config, out=name)
    assert Path("file/model.safetensors").read_bytes() == Path("dict/model.safetensors").read_bytes()
    assert Path("file/config.yaml").read_text() == Path("dict/config.yaml").read_text()


def test_rows_are_scored_as_the_rows_of_a_file(run: Path) -> None:
    rows = [{"text": "lovely item", "label": "good"}, {"text": "awful item", "label": "good"}]
    Path("two.csv").write_text("text,label\nlovely item,good\nawful item,good\n")
    assert api.evaluate("run", rows).scores == tuple(
        score.__class__(score.name, score.value, score.unit, score.better, "rows")
        for score in api.evaluate("run", "two.csv").scores
    )
    with pytest.raises(DataError, match=r"^records\[1\]: no column 'label'. Columns: text\."):
        api.evaluate("run", [rows[0], {"text": "x"}])
    with pytest.raises(DataError, match=r"^records\[0\]: no column 'label'"):
        api.evaluate("run", TEXTS)
    with pytest.raises(DataError, match=r"^rows: no good row is left: there is none"):
        api.evaluate("run", [])


REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "a frame": (lambda: api.predict("run", DataFrame()), "got DataFrame. Use frame.to_dict('records')."),
    "a frame to score": (lambda: api.evaluate("run", DataFrame()), "got DataFrame. Use frame.to_dict('records')."),
    "another frame": (lambda: api.predict("run", Polars()), "got Polars. Use frame.to_dicts()."),
    "a path of rows": (
        lambda: api.predict("run", Path("data.csv")), "Path. Read a file with api.read_for(run, file).",
    ),
    "a file's name as a text": (
        lambda: api.predict("run", "data.csv"),
        "records: 'data.csv' is the name of a file. For its rows use api.read_for(run, 'data.csv'); for an answer",
    ),
    "nothing": (lambda: api.predict("run", None), "records: expected a list of texts (str) or of dicts, one for each"),
    "bytes": (lambda: api.predict("run", b"a"), "got bytes. Decode it: value.decode('utf-8')."),
    "a number among texts": (
        lambda: list(api.predict("run", ["a", 5])),
        "records[1]: expected a text (str) or a dict, got int. Make a text of it: str(value).",
    ),
    "a missing value": (lambda: list(api.predict("run", [float("nan")])), "A missing value (NaN) is no text"),
    "a key": (lambda: list(api.predict("run", [{1: "a"}])), "records[0]: a key: expected the name of a column (str)"),
    "a run": (lambda: api.predict(5, ["a"]), "run: expected a path, as text or pathlib.Path, got int."),
    "a run that is bytes": (lambda: api.open_run(b"run"), "run: expected a path, as text or pathlib.Path, got bytes."),
    "a file": (lambda: api.evaluate("run", 5), "file: expected a path, as text or pathlib.Path, got int."),
    "init's file": (lambda: api.init("classification", [{"text": "a"}]), "file: expected a path, as text"),
    "a config": (lambda: api.check(None), "config: expected the path of a config file, or a dict of its sections, got"),
    "a config of keys": (lambda: api.train({1: {}}), "config: a section: expected keys that are text, got 1."),
    "a config of things": (
        lambda: api.check({**TINY, "data": {"train": object()}}),
        "config: data.train: expected text, a number, true, false, null, a list or a map, got object.",
    ),
    "a section": (lambda: api.check({**TINY, "model": {"hiden_size": 3}}), "config: model.hiden_size: unknown option."),
    "out": (lambda: api.train("c.yaml", out=5), "out: expected a path, as text or pathlib.Path, got int."),
    "settings": (lambda: api.check("c.yaml", overrides="a=b"), "overrides: expected a list of settings, such as"),
    "a setting": (lambda: api.doctor("c.yaml", overrides=[5]), "overrides[0]: expected a text (str), got int."),
    "cells": (lambda: api.check("c.yaml", cells=5), "cells: expected a list of paths, got int."),
    "a text to look into": (lambda: api.inspect("run", 5), "text: expected a text (str), or a dict with one under"),
    "a row without it": (lambda: api.inspect("run", {"txt": "a"}), "or a dict with one under 'text', got None."),
    "a prompt": (lambda: api.generate("run", {"text": "a"}), "prompt: expected a text (str), got dict. Take the text"),
    "a path to export to": (lambda: api.export_torch("run", None), "path: expected a path, as text or"),
    "a topic": (lambda: api.explain(["cell"]), "topic: expected a text (str), got list."),
    "a demo": (lambda: api.demo(3, out="x"), "name: expected a text (str), got int."),
    "a folder of data": (lambda: api.data_export("dates", 3), "folder: expected a path, as text or pathlib.Path"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_refused_with_its_type_and_the_next_step(name: str, run: Path) -> None:
    call, sentence = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        call()
    assert sentence in str(caught.value)


def test_one_path_of_cells_may_stand_alone(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no\.py"):
        api.open_run("run", "no.py")
