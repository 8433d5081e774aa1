"""Predictions as lines and files: whole or not at all, and safe to open."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.errors import DataError
from recurra.cli import main
from recurra.cli.tables import Row, write_csv, write_jsonl
from recurra.cli.texts import from_standard_input, readable
from recurra.data.formats import read


def test_a_prediction_is_one_line_whatever_the_data() -> None:
    row = {"text": "a\nb\t\x1b[31mred", "label": "x\ny", "score": 0.25, "probabilities": {"x": 1.0}, "rank": 3}
    assert readable(row) == "x y\t25.0 %\ta b \\x1b[31mred\t3"
    assert readable({"labels": ["a", "b"], "text": "t"}) == "a, b\tt"
    assert readable({"labels": [], "text": "t"}) == "\tt"
    assert readable({"mean": 3.5}) == "3.5"


def test_spans_stand_below_their_text_and_tags_behind_their_words() -> None:
    found = [{"text": "New\nYork", "label": "LOC", "start": 3, "end": 11, "score": 0.5}]
    assert readable({"spans": found, "text": "in New\nYork"}) == "in New York\n  New York\tLOC\t50.0 %\t3-11"
    assert readable({"spans": [], "text": "no names"}) == "no names"
    words = [{"text": word, "label": tag, "start": 0, "end": 1} for word, tag in (("a", "X"), ("b\x1b", "Y"))]
    assert readable({"tokens": words, "text": "a b"}) == "a/X b\\x1b/Y"


def test_csv_has_a_header_guards_formulas_and_writes_maps_as_json(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"label": "=1+1", "score": -0.5, "p": {"ä": 0.5}, "l": ["a"], "t": None, "text": 'a "b"\nc'},
        {"label": "@x", "score": float("nan"), "p": {}, "l": [], "t": True, "text": "-5"},
    ]
    assert write_csv(tmp_path / "p.csv", rows) == 2
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["label", "score", "p", "l", "t", "text"],
            ["'\\=1+1", "-0.5", '{"ä": 0.5}', '["a"]', "", 'a "b"\nc'],
            ["'\\@x", "nan", "{}", "[]", "True", "-5"],
        ]


# Much of it begins like a formula, a number, or what is guarded already.
ODD = st.one_of(
    st.text("=+-@\t\r\n '\\\\\uff1d1.e,;\"a", max_size=6),
    st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=6),
)
SIGNS = ("=", "+", "-", "@", "\uff1d")


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=8))
def test_no_text_of_a_csv_is_run_by_a_spreadsheet_and_recurra_reads_every_one_back(
    texts: list[tuple[str, str]],
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        write_csv(path, [{"text": text, "=label": label} for text, label in texts])
        with open(path, newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [cell for cell in cells if cell.startswith(("\t", "\r"))] == []
        assert [cell for cell in cells if cell.lstrip().startswith(SIGNS) and not is_number(cell)] == []
        assert [(r.fields["text"], r.fields["=label"]) for r in read(path)] == texts


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_signed_numbers_stay_numbers_and_an_apostrophe_of_the_text_stays_alone(tmp_path: Path) -> None:
    rows = [
        {"label": "-1", "text": "'@anna says hi"},
        {"label": "+1", "text": "'\\-5"},
        {"label": "-1.5e3", "text": "'"},
    ]
    write_csv(tmp_path / "p.csv", rows)
    with open(tmp_path / "p.csv", newline="", encoding="utf-8") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["-1", "+1", "-1.5e3"]
    (tmp_path / "foreign.csv").write_text("label,text\n-1,'@anna says hi\n'=x,'\\d+'\n", "utf-8")
    assert [dict(r.fields) for r in read(tmp_path / "p.csv")] == rows
    assert [list(r.fields.values()) for r in read(tmp_path / "foreign.csv")] == [
        ["-1", "'@anna says hi"],
        ["'=x", "'\\d+'"],
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=10), max_size=5))
def test_jsonl_keeps_every_text_exactly(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.jsonl"
        assert write_jsonl(path, [{"text": text} for text in texts]) == len(texts)
        lines = path.read_bytes().decode().split("\n")[:-1]
        assert [json.loads(line)["text"] for line in lines] == texts


def test_rows_of_different_columns_do_not_fit_a_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 has the columns \['b'\], the first one \['a'\]; use \.jsonl"):
        write_csv(tmp_path / "p.csv", [{"a": 1}, {"b": 2}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "P.CSV"])
def test_an_error_halfway_leaves_no_file_and_keeps_the_old_one(name: str, api: Any, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> Iterator[dict[str, object]]:
        yield {"label": "a"}
        raise DataError("x.csv:2: bad.")

    api.predict = broken
    (tmp_path / name).write_text("old")
    assert main(["predict", "r", "t", "--output", str(tmp_path / name)]) == 2
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_output_says_how_many_and_prints_nothing_else(api: Any, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "p.jsonl"
    assert main(["predict", "r", "a", "b", "--output", str(path)]) == 0
    assert capsys.readouterr() == ("", f"{path}: 2 predictions written.\n")
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"review": text, "predicted": "good"} for text in "ab"]


def texts_of(content: bytes) -> list[object]:
    return [record.fields["text"] for group in from_standard_input("text", io.BytesIO(content)) for record in group]


def test_a_byte_order_mark_in_front_of_standard_input_is_no_text() -> None:
    assert texts_of(b"\xef\xbb\xbfspam\negg") == ["spam", "egg"]
    assert texts_of(b"\xef\xbb\xbf") == []


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_line_of_standard_input_ends_as_a_line_of_a_file_does(ending: str) -> None:
    assert texts_of(ending.join(["spam", "", "egg"]).encode()) == ["spam", "", "egg"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"fine\ncaf\xe9\n", r"^standard input:2: byte 4 of the line, 0xE9, is not UTF-8"),
        ("spam\n".encode("utf-16"), r"^standard input:1: .* UTF-16"),
        (b"a" * (8 * 2**20 + 1), r"^standard input:1: the line is longer than 8,388,608 bytes"),
    ],
)
def test_what_standard_input_cannot_hold_is_named_with_its_line(content: bytes, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        texts_of(content)
