"""Data frames of two libraries: trained on, scored, and given back with answers behind their own columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import recurra
from api.api_room import done, kept_of, rows
from python.python_room import TINY, Listening
from recurra import ConfigError, DataError

pandas = pytest.importorskip("pandas", reason="pandas is not installed; it comes with recurra[test]")
polars = pytest.importorskip("polars", reason="polars is not installed; it comes with recurra[test]")

COLUMNS = {name: [row[k] for row in rows()] for k, name in enumerate(("text", "label"))}
LIBRARIES: dict[str, Callable[[Any], Any]] = {"pandas": pandas.DataFrame, "polars": polars.DataFrame}
each_library = pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES.keys())
NAMES = ["text", "id", "predicted", "score", "probability_bad", "probability_good"]


def as_rows(frame: Any) -> list[dict[str, Any]]:
    return list(frame.to_dicts() if isinstance(frame, polars.DataFrame) else frame.to_dict("records"))


@each_library
def test_a_frame_comes_back_with_the_columns_of_predict(make: Any, run: recurra.Run) -> None:
    frame = make({"text": ["lovely item", "awful item"], "id": [7, 8]})
    found = run.predict(frame)
    assert type(found) is type(frame)
    assert list(found.columns) == NAMES
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in as_rows(frame)))
    done("predict", "run", "--input", "in.jsonl", "--output", "out.jsonl")
    assert as_rows(found) == [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert list(frame.columns) == ["text", "id"], "the frame that was given is as it was"


@each_library
def test_a_frame_without_rows_has_the_same_columns(make: Any, run: recurra.Run) -> None:
    frame = make({"text": ["a"], "id": [1]})[:0]
    assert list(run.predict(frame).columns) == NAMES
    assert len(run.predict(frame)) == 0


@each_library
def test_a_name_that_is_taken_gets_a_number(make: Any, run: recurra.Run) -> None:
    found = run.predict(make({"text": ["a"], "score": [3], "predicted": ["x"]}))
    assert list(found.columns)[:5] == ["text", "score", "predicted", "predicted_2", "score_2"]
    assert as_rows(found)[0]["score"] == 3


@each_library
def test_a_frame_makes_the_run_of_its_rows(make: Any, here: Path) -> None:
    for name, data in (("frame", make(COLUMNS)), ("columns", COLUMNS)):
        recurra.train(data, task="classification", out=name, progress=False, **TINY)
    assert kept_of("frame") == kept_of("columns")
    run = recurra.load("frame", progress=False)
    frame = make(COLUMNS)
    assert run.evaluate(frame).scores == run.evaluate([dict(zip(COLUMNS, row, strict=True)) for row in rows()]).scores
    assert [str(one) for one in run.predict(frame["text"])] == as_rows_of(run.predict(frame), "predicted")


def as_rows_of(frame: Any, column: str) -> list[Any]:
    return [row[column] for row in as_rows(frame)]


def test_the_index_of_pandas_stays_and_a_lazy_frame_is_read(run: recurra.Run) -> None:
    frame = pandas.DataFrame({"text": ["lovely", "awful", "a"]}, index=[5, 5, 2])
    found = run.predict(frame)
    assert list(found.index) == [5, 5, 2]
    assert list(found["predicted"]) == [str(one) for one in run.predict(["lovely", "awful", "a"])]
    lazy = run.predict(polars.LazyFrame({"text": ["lovely"]}))
    assert isinstance(lazy, polars.DataFrame)


def test_values_of_frames_are_kept_as_json(here: Path) -> None:
    frame = pandas.DataFrame(COLUMNS).assign(
        day=pandas.Timestamp("2001-03-04"),
        count=pandas.array([1, None] * 20, dtype="Int64"),
        kind=pandas.Categorical(["x", None] * 20),
        gone=pandas.NaT,
    )
    recurra.train(frame, task="classification", out="run", progress=False, text="text", label="label", **TINY)
    kept = [json.loads(line) for line in Path("run/data/train.jsonl").read_text().splitlines()]
    rest = {"day": "2001-03-04T00:00:00", "gone": None}
    assert [{**row, "text": "", "label": ""} for row in kept[:2]] == [
        {"text": "", "label": "", **rest, "count": 1, "kind": "x"},
        {"text": "", "label": "", **rest, "count": None, "kind": None},
    ]


def test_spans_and_tags_have_columns(here: Path) -> None:
    tags = polars.DataFrame({
        "tokens": [text.split() for text, _ in rows(30)],
        "tags": [["B-A", "O", "O"] for _ in range(30)],
    })  # fmt: skip
    tagger = recurra.train(tags, task="ner", out="tags", progress=False, **{**TINY, "epochs": 1})
    found = tagger.predict(tags.select("tokens").head(2))
    assert found.columns[:2] == ["tokens", "predicted"]
    assert found["predicted"].to_list() == [[tag for _, tag in one.tags] for one in tagger.predict(tags["tokens"][:2])]


def test_odd_frames_are_refused_in_a_sentence(run: recurra.Run) -> None:
    with pytest.raises(
        ConfigError, match=r"^data: expected columns whose names are text, got 0\. Name them: df\.columns = "
    ):
        run.predict(pandas.DataFrame([["a", "b"]]))
    with pytest.raises(ConfigError, match=r"^data: Expected unique column names.*Give each column a name of its own\."):
        run.predict(pandas.DataFrame([["a", "b"]], columns=["text", "text"]))
    with pytest.raises(DataError, match=r"^records\[1\]: column 'text' holds null, expected text"):
        run.predict(pandas.DataFrame({"text": ["a", None]}))
    with pytest.raises(DataError, match=r"^records\[0\]: no column 'text'\. Columns: body\."):
        run.predict(polars.DataFrame({"body": ["a"]}))
    heard = Listening()
    with pytest.raises(DataError, match=r"^data\[1\]: the label is empty"):
        recurra.train(
            polars.DataFrame({"text": ["a", "b"], "label": ["x", None]}),
            task="spam",
            out="no",
            progress=heard,
            label="label",
        )
    assert not Path("no").exists()
