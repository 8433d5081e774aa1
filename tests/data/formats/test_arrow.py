"""Parquet, Arrow and Feather files, and datasets of Hugging Face that are saved to disk."""

from __future__ import annotations

import datetime
import decimal
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from data.formats.formats_room import ROWS, TEXTS, Notes, fields, from_init, same_as_jsonl
from recurra import api
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import ReadOptions, SkippedRows, read, recognised
from recurra.data.formats.arrow_rows import ArrowRows
from recurra.data.formats.parquet import open_parquet

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it comes with recurra[test]")
feather = pytest.importorskip("pyarrow.feather", reason="pyarrow is not installed; it comes with recurra[test]")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed; it comes with recurra[test]")


def put(table: Any, path: Path) -> Path:
    """A table as a file of the kind that its name says. Small batches and row groups, so that there are several."""
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=5)
    elif path.suffix == ".feather":
        feather.write_feather(table, path, chunksize=5)
    else:
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
    return path


KINDS = (".parquet", ".feather", ".arrow", ".ipc")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_columns_is_learned_from_as_the_same_rows_in_json(kind: str, tmp_path: Path) -> None:
    same_as_jsonl("classification", put(pa.Table.from_pylist(ROWS), tmp_path / f"a{kind}"), ROWS, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_column_becomes_a_plain_value(kind: str, tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 2, 29, 13, 5, 7)
    table = pa.table({
        "text": pa.array(["a", None], pa.large_string()),
        "class": pa.array(["x", "y"]).dictionary_encode(),
        "flag": [True, None],
        "number": pa.array([2**40, None], pa.int64()),
        "real": pa.array([0.5, float("nan")]),
        "half": pa.array([1, 2], pa.float32()).cast(pa.float32()),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "day": pa.array([moment.date(), None]),
        "moment": pa.array([moment, None], pa.timestamp("us")),
        "exact": pa.array([1_709_211_907_123_456_789, None], pa.timestamp("ns")),
        "words": pa.array([["In", "Rome"], []], pa.list_(pa.string())),
        "spans": pa.array([[{"start": 3, "end": 7, "label": "LOC"}], None]),
        "by": pa.array([{"name": "Ann", "picture": b"\x89"}, None]),
        "more": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
        "nothing": pa.nulls(2),
        "bytes": pa.array([b"\x89PNG", None]),
    })  # fmt: skip
    notes = Notes()
    first, second = fields(put(table, tmp_path / f"a{kind}"), note=notes.note)
    assert first == {
        "text": "a", "class": "x", "flag": True, "number": 2**40, "real": 0.5, "half": 1.0, "price": "1.50",
        "day": "2024-02-29", "moment": "2024-02-29 13:05:07", "exact": "2024-02-29 13:05:07.123456",
        "words": ["In", "Rome"], "spans": [{"start": 3, "end": 7, "label": "LOC"}], "by": {"name": "Ann"},
        "more": {"k": 1}, "nothing": None,
    }  # fmt: skip
    assert second == dict.fromkeys(first) | {"class": "y", "half": 2.0, "words": []}
    assert notes.messages == [
        f"{tmp_path / f'a{kind}'}: left out are columns that hold neither text nor numbers: 'bytes' (binary)."
    ]


def test_a_row_has_its_number(tmp_path: Path) -> None:
    path = put(pa.table({"n": list(range(13))}), tmp_path / "a.parquet")
    assert [(record.fields["n"], record.origin.line) for record in read(path)][4:7] == [(4, 5), (5, 6), (6, 7)]


def test_fields_inside_of_fields_are_found_and_named(tmp_path: Path) -> None:
    rows = [{"payload": {"message": row["text"]}, "label": row["label"]} for row in ROWS]
    path = put(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert fields(path, columns={"said": "payload.message"})[0]["said"] == ROWS[0]["text"]
    same_as_jsonl("classification", path, [{"message": r["text"], "label": r["label"]} for r in ROWS], tmp_path)
    with pytest.raises(ConfigError, match="columns: has no effect on format 'parquet'"):
        fields(path, columns=["a"])


def test_a_name_with_a_dot_and_two_columns_of_one_name(tmp_path: Path) -> None:
    assert fields(put(pa.table({"a.b": ["x"]}), tmp_path / "a.parquet")) == [{"a.b": "x"}]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(DataError, match="two columns have the same name"):
        fields(put(twice, tmp_path / "a.arrow"))
    with pytest.raises(DataError, match="no column holds text or numbers"):
        fields(put(pa.table({"a": [b"x"]}), tmp_path / "b.arrow"))
    with pytest.raises(DataError, match="is empty, expected rows"):
        fields(put(pa.table({"a": pa.array([], pa.string())}), tmp_path / "c.parquet"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_off_or_something_else_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    path = put(pa.Table.from_pylist(ROWS * 40), tmp_path / f"a{kind}")
    whole = path.read_bytes()
    for content in (whole[:-9], whole[: len(whole) // 2], whole[:5], b"text,label\n", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"^{path}: (is|cannot be read|has no)"):
            fields(path)
    missing = tmp_path / f"b{kind}"
    with pytest.raises(DataError, match=r"no such file"):
        fields(missing)


def test_damage_inside_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = put(pa.Table.from_pylist(ROWS * 40), tmp_path / "a.parquet")
    whole = bytearray(path.read_bytes())
    for place in range(40, len(whole) - 40, 101):
        whole[place : place + 3] = b"\xff\xff\xff"
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read: "):
        fields(path)
    text = pa.array(["ab", "cd"])
    broken = pa.Array.from_buffers(text.type, 2, [None, text.buffers()[1], pa.py_buffer(b"a\xff\xfed")])
    with pytest.raises(DataError, match=r"a\.arrow: cannot be read: .*UTF8"):
        fields(put(pa.table({"text": broken}), tmp_path / "a.arrow"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_a_column_that_is_no_utf_8_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    path = put(pa.table({"speech": ["x"]}), tmp_path / f"a{kind}")
    path.write_bytes(path.read_bytes().replace(b"speech", b"sp\xffech"))
    with pytest.raises(DataError, match=rf"a\{kind}: cannot be read: "):
        fields(path)


def test_encryption_and_the_first_feather_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\0" * 20 + b"PARE")
    with pytest.raises(DataError, match=r"a\.parquet: is encrypted\. Write it again without encryption"):
        fields(tmp_path / "a.parquet")
    (tmp_path / "a.feather").write_bytes(b"FEA1" + b"\0" * 20)
    with pytest.raises(DataError, match=r"is Feather of version 1"):
        fields(tmp_path / "a.feather")


def test_a_machine_without_pyarrow_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(pa.table({"a": [1]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r'needs pyarrow, which is not installed; pip install "recurra\[arrow\]"'):
        fields(path)


# -- Hugging Face ------------------------------------------------------------------------------------------------------

LABEL = {"names": ["neg", "pos"], "_type": "ClassLabel"}
CLASSES = [{"text": row["text"], "label": ["neg", "pos"].index(row["label"])} for row in ROWS]


def saved(path: Path, rows: Sequence[Mapping[str, Any]], features: Mapping[str, Any], files: int = 2) -> Path:
    """A folder as `Dataset.save_to_disk` of datasets 5.2 makes it."""
    path.mkdir(parents=True)
    names = [f"data-{n:05}-of-{files:05}.arrow" for n in range(files)]
    schema = pa.Table.from_pylist(list(rows)).schema
    for number, name in enumerate(names):
        part = pa.Table.from_pylist(list(rows)[number * len(rows) // files : (number + 1) * len(rows) // files], schema)
        with pa.ipc.new_stream(str(path / name), part.schema) as writer:
            writer.write_table(part, max_chunksize=7)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "1", "_format_type": None}
    (path / "state.json").write_text(json.dumps(state))
    (path / "dataset_info.json").write_text(json.dumps({"features": features, "description": ""}))
    return path


def test_a_saved_dataset_is_learned_from_with_the_names_of_its_classes(tmp_path: Path) -> None:
    notes = same_as_jsonl("classification", saved(tmp_path / "set", CLASSES, {"label": LABEL}), ROWS, tmp_path)
    assert f"{tmp_path / 'set'}: read as datasets, as state.json of Hugging Face datasets stands in it." in notes.text


def test_names_of_classes_in_the_metadata_of_a_file_are_read_too(tmp_path: Path) -> None:
    info = json.dumps({"info": {"features": {"label": LABEL}}})
    table = pa.Table.from_pylist(CLASSES).replace_schema_metadata({"huggingface": info})
    assert [row["label"] for row in fields(put(table, tmp_path / "a.parquet"))] == [row["label"] for row in ROWS]
    broken = table.replace_schema_metadata({"huggingface": "{"})
    with pytest.raises(DataError, match="its metadata of Hugging Face datasets is damaged"):
        fields(put(broken, tmp_path / "b.parquet"))


def test_tags_in_lists_and_objects_have_their_names(tmp_path: Path) -> None:
    tags = {"feature": {"names": ["O", "B-PER", "B-LOC"], "_type": "ClassLabel"}}
    numbers = {"Ann": 1, "Bob": 1, "Rome": 2, "Oslo": 2}
    rows = [{"tokens": text.split(), "ner_tags": [numbers.get(word, 0) for word in text.split()]} for text in TEXTS]
    named = [{**row, "ner_tags": [tags["feature"]["names"][n] for n in row["ner_tags"]]} for row in rows]
    for number, form in enumerate(("Sequence", "List")):
        path = saved(tmp_path / f"set{number}", rows, {"ner_tags": {**tags, "_type": form}})
        same_as_jsonl("tagging", path, named, tmp_path)
    inside = [{"a": [{"k": 1}], "b": {"k": [0, 2]}}]
    known = {"a": {"feature": {"k": tags["feature"]}, "_type": "List"}, "b": {"k": {**tags, "_type": "List"}}}
    assert fields(saved(tmp_path / "inside", inside, known, 1)) == [{"a": [{"k": "B-PER"}], "b": {"k": ["O", "B-LOC"]}}]


def test_a_class_without_a_name_is_a_broken_row_and_minus_one_is_none(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": -1}, {"text": "b", "label": 2}, {"text": "c", "label": 1}]
    bad = SkippedRows()
    path = saved(tmp_path / "set", rows, {"label": LABEL})
    assert [record.fields["label"] for record in read(path, bad_rows=bad)] == [None, "pos"]
    assert bad.examples == (f"{path}:2: column 'label': class 2 has no name; the metadata has 2, from 0.",)


def test_the_splits_of_a_folder_become_the_files_of_the_config(tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    for name in ("train", "validation", "test", "unsupervised"):
        saved(folder / name, CLASSES, {"label": LABEL})
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test", "unsupervised"]}')
    found, notes = from_init("classification", folder, tmp_path / "c.yaml")
    assert {name: len(rows) for name, rows in found.splits.items()} == {"train": 24, "dev": 24, "test": 24}
    data = api.schema.read_settings(tmp_path / "c.yaml").tree["data"]
    assert [data[name] for name in ("train", "dev", "test")] == [
        str(folder / n) for n in ("train", "validation", "test")
    ]
    told = f"{folder}: holds parts: train for train, validation for dev, test for test; left out: unsupervised."
    assert notes.messages[0] == told
    with pytest.raises(DataError, match=rf"holds several splits: name one in the config.* {folder}/train, "):
        fields(folder)
    (folder / "dataset_dict.json").write_text('{"splits": ["unsupervised"]}')
    with pytest.raises(ConfigError, match=r"holds no part that is called train\. Name the one to learn from"):
        api.init("classification", folder)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"_data_files": [{"filename": "../../secret.arrow"}]}, "a list of names of files in this folder"),
        ({"_data_files": [{"filename": "/etc/passwd"}]}, "a list of names of files in this folder"),
        ({"_data_files": [{"filename": ".."}]}, "a list of names of files in this folder"),
        ({"_data_files": []}, "expected `_data_files`"),
        ({}, "expected `_data_files`"),
        ([], "expected `_data_files`"),
        ({"_data_files": [{"filename": "no.arrow"}]}, "no.arrow: no such file"),
    ],
)
def test_a_folder_reads_nothing_but_its_own_files(state: Any, sentence: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "set", CLASSES, {})
    (path / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=sentence):
        fields(path)
    (path / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: damaged"):
        fields(path)


def test_files_of_other_columns_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "set", CLASSES, {})
    with pa.ipc.new_stream(str(path / "data-00001-of-00002.arrow"), pa.schema([("x", pa.int8())])):
        pass
    with pytest.raises(DataError, match=r"data-00001-of-00002\.arrow: its columns are not those of .*data-00000"):
        fields(path)


def test_a_folder_of_nothing_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder of nothing that recurra knows\. Expected a file, or: "):
        recognised(tmp_path)
    with pytest.raises(DataError, match="is no saved dataset"):
        fields(tmp_path, format="datasets")


def test_marks_lead_to_any_row_and_further_on_in_a_group_reading_goes_on(tmp_path: Path) -> None:
    file, decoded = tmp_path / "a.parquet", list[int]()
    parquet.write_table(pa.table({"n": list(range(5000))}), file, row_group_size=3000)
    with open_parquet(file, ReadOptions()) as batches:
        rows, marks = ArrowRows(batches), []
        for number in range(5000):
            marks.append(batches.mark())
            assert rows.next_row()[1] == {"n": number}
        assert [number for number, mark in enumerate(marks) if mark and mark.near] == [0, 3000]
        again = batches._again
        assert again is not None

        def counted(group: int) -> Any:
            decoded.append(group)
            return again(group)

        batches._again = counted
        jumps = [(10, 1), (900, 1), (1024, 1), (2999, 1), (3001, 1), (4500, 1), (4499, 2), (20, 3), (20, 4), (4000, 5)]
        for number, opened in jumps:
            mark = marks[number]
            assert mark is not None
            batches.go_to(mark)
            line, values = rows.next_row()
            assert (line.number, values, len(decoded)) == (number + 1, {"n": number}, opened)
