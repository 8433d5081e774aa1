"""Lists of JSON objects, and fields inside of fields."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.formats.formats_room import ROWS, fields, from_init, same_as_jsonl
from recurra import api
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, items, read, recognised
from recurra.data.formats.nested import MISSING, at_path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"version": [1, 2], "data": rows, "more": {"n": 1}}])
def test_a_list_of_objects_is_learned_from_as_json_lines(indent: int | None, wrap: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(wrap(ROWS), indent=indent, ensure_ascii=False), encoding="utf-8")
    same_as_jsonl("classification", path, ROWS, tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), min_size=1, max_size=6),
    indent=st.sampled_from([None, 1]),
    chunk=st.integers(1, 40),
)
def test_any_objects_are_read_back_wherever_the_file_is_cut_into_chunks(
    rows: list[dict[str, Any]], indent: int | None, chunk: int, tmp_path: Path
) -> None:
    rows = json.loads(json.dumps(rows).encode("utf-8", "ignore"))
    rows = [row for row in rows if json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode() is not None]
    path = tmp_path / "a.json"
    try:
        text = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a pair, which no file holds
        return
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.data.formats.lines._CHUNK", chunk)
        assert fields(path, format="json") == rows


def test_a_row_has_the_line_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\ufeff[\n  {"a": "x\\n"},\n\n  {\n   "a": 2\n  }, {"a": 3}\n]\n', encoding="utf-8")
    assert [(record.fields["a"], record.origin.line) for record in read(path)] == [("x\n", 2), (2, 4), (3, 6)]


BROKEN = {
    "empty": (b"", ": is empty, expected a list of rows"),
    "an empty list": (b"[]", ": the list has no rows"),
    "a text": (b'"a"', r":1: expected a list of rows, \[\{\.\.\.\}, \.\.\.\], got '\"a\"'"),
    "one object": (b'{\n"a": 1, "b": {"c": []}}', ":2: expected a list of rows, .* got an object with keys 'a', 'b'"),
    "columns of pandas": (b'{"text":{"0":"a"},\n"label":{"0":"x"}}', r"keys 'text', 'label'\. .*orient='records'"),
    "two lists": (b'{"a": [{"x": 1}],\n"b": [{"x": 2}]}', ":2: the keys 'a' and 'b' both hold a list of rows"),
    "a list of texts": (b'[\n"a"]', ":2: expected a JSON object like .*, got 'a'"),
    "cut": (b'[{"a": 1},\n{"a": 2', r":2: not JSON: Expecting ',' delimiter"),
    "cut in a text": (b'[{"a": 1},\n{"a": "x', ":2: not JSON: Unterminated string"),
    "cut behind a row": (b'[{"a": 1}\n', ":2: expected a comma or ] behind a value, the file ends"),
    "no comma": (b'[{"a": 1}\n{"a": 2}]', r":2: expected a comma or \] behind a value, got"),
    "no value": (b'[{"a": 1},\n{"a": }]', ":2: not JSON: Expecting value"),
    "more behind it": (b'[{"a": 1}]\n[]', r":2: expected nothing behind the list, got '\[\]'"),
    "a key twice": (b'[{"b": 1},\n{"a": 1, "a": 2}]', ":2: key 'a' appears twice"),
    "NaN": (b'[{"b": 1},\n{"a": NaN}]', ":2: NaN is not JSON"),
    "half a pair": (b'[{"a": "\\ud800"}]', ":1: a .u escape is half of a surrogate pair"),
    "too deep": (b"[" + b'{"a":[' * 60_000 + b"]", ":1: the JSON is nested too deeply"),
    "not UTF-8": (b'[{"a": 1},\n{"a": "caf\xe9"}]', ":2: a byte is not UTF-8, 0xE9. Set data.encoding"),
    "5,000 digits": (b'[{"a": ' + b"1" * 5000 + b"}]", ":1: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_list_is_named_with_line_and_reason(case: str, tmp_path: Path) -> None:
    content, message = BROKEN[case]
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        fields(path, format="json")
    assert str(refused.value).startswith(str(path))


def test_a_row_that_is_no_object_is_skipped_and_the_ones_behind_it_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, "b", {"a": 2, "a": 3}, {"a": Infinity}, {"a": 4}]')
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == [1, 4]
    assert bad.count == 3


def test_a_value_over_the_limit_is_refused_before_it_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "MAX_LINE_BYTES", 200_000)
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"a": "' + b"x" * 3_000_000 + b'"}]')
    with pytest.raises(DataError, match="the value that begins here is longer than 200,000 characters, the limit"):
        fields(path)


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"[" + b",".join([b'{"text": "' + b"a" * 8000 + b'"}'] * 1000) + b"]")
    tracemalloc.start()
    count = sum(1 for _ in read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 4e6, "8 MB are in the list"


def test_json_lines_under_the_name_json_are_known_by_what_stands_in_them(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ('{"a": 1}\n{"a": 2}\n', '\n{"a": [{"b": 1}]}\n{"a": 2}', '{"a": "one"}'):
        path.write_text(text)
        assert recognised(path) == ("jsonl", "each of its lines is an object")
    for text in (
        '{"a": [{"b": 1}]}',
        '{"a": {"0": 1}, "b": {"0": 2}}',
        '{"a": [1, 2], "b": [3, 4]}',
        '[{"a": 1}]',
        '{\n"a": 1\n}',
        "",
    ):
        path.write_text(text)
        assert recognised(path) == ("json", "")


# -- fields inside of fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a.b": 2, "a": {"b": 1}}, "a.b", 2),
        ({"a": {"b.c": 3, "b": {"c": 1}}}, "a.b.c", 3),
        ({"a.b": {"c": 4}, "a": {"b": {"c": 1}}}, "a.b.c", 4),
        ({"a.b": {"d": 4}, "a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a": [{"b": 5}, {"b": 6}]}, "a.1.b", 6),
        ({"a": {"b": None}}, "a.b", None),
        ({"a": {"b": 1}}, "a.c", MISSING),
        ({"a": 1}, "a.b", MISSING),
        ({"a": [1]}, "a.1", MISSING),
        ({"a": "text"}, "a.0", MISSING),
        ({"": {"": 1}}, ".", 1),
    ],
)
def test_a_path_leads_to_a_field_and_a_key_with_a_dot_comes_first(value: Any, path: str, found: Any) -> None:
    assert at_path(value, path) is found or at_path(value, path) == found


NESTED = [
    {"id": n, "payload": {"message": row["text"], "by": {"name": "x"}}, "meta": {"label": row["label"]}}
    for n, row in enumerate(ROWS)
]


@pytest.mark.parametrize("lines", [True, False])
def test_init_finds_texts_and_labels_inside_of_fields(lines: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n".join(map(json.dumps, NESTED)) if lines else json.dumps(NESTED))
    flat = [{"message": row["text"], "label": row["label"]} for row in ROWS]
    same_as_jsonl("classification", path, flat, tmp_path)
    tree = api.schema.read_settings(tmp_path / "c.yaml").tree
    assert tree["data"]["columns"] == {"message": "payload.message", "label": "meta.label"}


def test_columns_give_names_to_fields_of_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a.b": 1, "a": {"b": 2, "c": [7, 8]}}\n')
    columns = {"x": "a.b", "y": "a.c.1"}
    assert fields(path, columns=columns) == [{"a.b": 1, "a": {"b": 2, "c": [7, 8]}, "x": 1, "y": 8}]
    (tmp_path / "t.csv").write_text("what was said,b\nhi,1\n")
    assert fields(tmp_path / "t.csv", columns={"text": "what was said"}, fields=["text"])[0]["text"] == "hi"


def test_a_field_that_is_not_there_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": {"b": 1}}\n{"a": {"c": 1}}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: data\.columns takes 'x' from 'a\.b': no column 'a\.b'"):
        fields(path, columns={"x": "a.b"})
    bad = SkippedRows()
    assert [record.fields["x"] for record in read(path, columns={"x": "a.b"}, bad_rows=bad)] == [1]
    with pytest.raises(ConfigError, match="columns: expected a map from names to names of fields"):
        read(path, columns={"x": 1})  # type: ignore[dict-item]


def test_a_config_may_hold_such_a_map(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, NESTED)))
    (tmp_path / "c.yaml").write_text(
        f"task: {{text: said, label: kind}}\n"
        f"data: {{train: {path}, columns: {{said: payload.message, kind: meta.label}}}}\n"
    )
    assert api.check(tmp_path / "c.yaml").facts["train rows"] > 10
    found, _ = from_init("classification", path, tmp_path / "d.yaml")
    assert found.task
