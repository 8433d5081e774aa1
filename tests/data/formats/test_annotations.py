"""Exports of annotation tools: spans reach the tagger from what init writes, and what is none is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data.formats.formats_room import ROWS, SPANS, TEXTS, Notes, as_jsonl, fields, from_init, same_as_jsonl
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, read, recognised

PLAIN = [{"text": text, "spans": spans} for text, spans in zip(TEXTS, SPANS, strict=True)]


def spans_as(start: str, end: str, label: str = "label") -> list[list[dict[str, Any]]]:
    return [[{start: one["start"], end: one["end"], label: one["label"]} for one in spans] for spans in SPANS]


def triples(spans: Sequence[dict[str, Any]]) -> list[list[Any]]:
    return [[one["start"], one["end"], one["label"]] for one in spans]


def prodigy(path: Path) -> Path:
    rows = [
        {"text": row["text"], "_input_hash": n, "_task_hash": -n, "tokens": [{"text": "x", "start": 0, "end": 1}],
         "spans": [{**one, "token_start": 0, "token_end": 0} for one in row["spans"]], "answer": "accept"}
        for n, row in enumerate(PLAIN)
    ]  # fmt: skip
    rejected = [{"text": "No", "spans": [], "answer": "reject"}, {"text": "?", "answer": "ignore"}]
    return as_jsonl(path / "prodigy.jsonl", [rejected[0], *rows[:9], rejected[0], rejected[1], *rows[9:]])


def doccano(path: Path) -> Path:
    return as_jsonl(path / "doccano.jsonl", [{"id": 1, "data": r["text"], "label": triples(r["spans"])} for r in PLAIN])


def doccano_entities(path: Path) -> Path:
    rows = [
        {"id": 7, "text": text, "entities": [{"id": 1, **one} for one in spans], "relations": [], "Comments": []}
        for text, spans in zip(TEXTS, spans_as("start_offset", "end_offset"), strict=True)
    ]
    return as_jsonl(path / "doccano.jsonl", rows)


def label_studio(path: Path) -> Path:
    def annotation(row: dict[str, Any]) -> dict[str, Any]:
        values = [
            {"start": one["start"], "end": one["end"], "text": row["text"][one["start"] : one["end"]],
             "labels": [one["label"]]}
            for one in row["spans"]
        ]  # fmt: skip
        kind = {"from_name": "label", "to_name": "text", "type": "labels"}
        return {"id": 1, "was_cancelled": False, "result": [{"id": "a", "value": value, **kind} for value in values]}

    tasks: list[dict[str, Any]] = [
        {"id": n, "annotations": [annotation(row)], "data": {"text": row["text"]}, "predictions": []}
        for n, row in enumerate(PLAIN)
    ]
    tasks[0]["annotations"].insert(0, {"was_cancelled": True, "result": []})
    tasks[1]["annotations"].append(annotation(PLAIN[0]))
    none = {"id": 98, "annotations": [], "data": {"text": "none"}}
    skipped = {"id": 99, "annotations": [{"was_cancelled": True, "result": []}], "data": {"text": "skipped"}}
    (path / "studio.json").write_text(json.dumps([none, *tasks, skipped]))
    return path / "studio.json"


def label_studio_min(path: Path) -> Path:
    rows = [
        {"id": n, "said": text, "annotator": 1, **({"label": [
            {"start": one["start"], "end": one["end"], "text": text[one["start"] : one["end"]],
             "labels": [one["label"]]}
            for one in spans]} if spans else {})}
        for n, (text, spans) in enumerate(zip(TEXTS, SPANS, strict=True))
    ]  # fmt: skip
    (path / "studio.json").write_text(json.dumps(rows, indent=1))
    return path / "studio.json"


def spacy(path: Path) -> Path:
    (path / "spacy.json").write_text(json.dumps([[r["text"], {"entities": triples(r["spans"])}] for r in PLAIN]))
    return path / "spacy.json"


def spacy_lines(path: Path) -> Path:
    return as_jsonl(path / "spacy.jsonl", [[r["text"], {"entities": triples(r["spans"])}] for r in PLAIN])  # type: ignore[misc]


def brat(path: Path) -> Path:
    folder = path / "brat"
    folder.mkdir()
    for n, row in enumerate(PLAIN):
        (folder / f"{n:02}.txt").write_text(row["text"])
        lines = [
            f"T{k}\t{one['label']} {one['start']} {one['end']}\t{row['text'][one['start'] : one['end']]}"
            for k, one in enumerate(row["spans"])
        ]
        (folder / f"{n:02}.ann").write_text("\n".join([*lines, "#1\tAnnotatorNotes T0\tsure?"] if n == 0 else lines))
    (folder / "todo.txt").write_text("not annotated")
    return folder


TOOLS = {
    "prodigy": (prodigy, "as its rows have `answer: accept`, as those of Prodigy"),
    "doccano": (doccano, "as its rows have spans as those of doccano"),
    "doccano with entities": (doccano_entities, "as its rows have spans as those of doccano"),
    "label_studio": (label_studio, "as its tasks have annotations as those of Label Studio"),
    "label_studio min": (label_studio_min, "as its tasks have annotations as those of Label Studio"),
    "spacy": (spacy, "as its rows are pairs of a text and `entities`, as for spaCy"),
    "spacy in lines": (spacy_lines, "as its rows are pairs of a text and `entities`, as for spaCy"),
    "brat": (brat, "as it holds .ann files, as those of brat"),
}
LEFT_OUT = {
    "prodigy": "2 rejected and left out, 1 ignored and left out.",
    "label_studio": "1 without an annotation and left out, 1 with several annotations, of which the first is read, 1 "
    "skipped and left out.",
    "brat": "1 lines that are no spans are left out, 1 texts without annotations are left out.",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_export_is_learned_from_as_its_texts_and_spans(tool: str, tmp_path: Path) -> None:
    make, why = TOOLS[tool]
    path = make(tmp_path)
    notes = same_as_jsonl("tagging", path, PLAIN, tmp_path)
    assert f"{path}: read as {tool.split()[0]}, {why}." in notes.messages
    if tool in LEFT_OUT:
        assert notes.messages.count(f"{path}: {LEFT_OUT[tool]}") == 2, "by init and by check"


@pytest.mark.parametrize("tool", TOOLS)
def test_a_row_of_an_export_is_a_text_with_spans(tool: str, tmp_path: Path) -> None:
    assert fields(TOOLS[tool][0](tmp_path)) == PLAIN


def test_labels_of_whole_texts_are_read_too(tmp_path: Path) -> None:
    prodigy_rows = [{**row, "answer": "accept", "_task_hash": 1} for row in ROWS]
    choices = [{"text": row["text"], "accept": [row["label"]], "options": [], "answer": "accept"} for row in ROWS]
    pairs = [
        [row["text"], {"cats": {"pos": float(row["label"] == "pos"), "neg": float(row["label"] == "neg")}}]
        for row in ROWS
    ]
    studio = [
        {"id": 1, "data": {"said": row["text"]}, "annotations": [
            {"result": [{"type": "choices", "value": {"choices": [row["label"]]}}, {"type": "relation"}]}]}
        for row in ROWS
    ]  # fmt: skip
    for name, rows in (("p.jsonl", prodigy_rows), ("c.jsonl", choices), ("s.jsonl", pairs)):
        assert fields(as_jsonl(tmp_path / name, rows)) == ROWS  # type: ignore[arg-type]
    (tmp_path / "l.json").write_text(json.dumps(studio))
    notes = same_as_jsonl("classification", tmp_path / "l.json", ROWS, tmp_path)
    assert "24 results that are neither spans nor choices, and left out." in notes.text


def test_plain_json_is_taken_for_no_tool(tmp_path: Path) -> None:
    plain = [
        {"text": "a", "label": "x"}, {"text": "a", "spans": [{"start": 0, "end": 1, "label": "X"}]},
        {"text": "a", "label": []}, {"text": "a", "answer": "accept"}, {"tokens": ["a"], "tags": ["O"]}, {},
    ]  # fmt: skip
    for row in plain:
        assert recognised(as_jsonl(tmp_path / "a.jsonl", [row])) == ("jsonl", "")
    (tmp_path / "a.json").write_text(json.dumps(plain))
    assert recognised(tmp_path / "a.json") == ("json", "")


EMOJI = "😀 in Rome"


def studio(value: dict[str, Any]) -> str:
    return json.dumps([{"data": {"text": EMOJI}, "annotations": [{"result": [{"value": value}]}]}])


BROKEN = {
    "UTF-16 in Label Studio": (
        "a.json", studio({"start": 6, "end": 10, "text": "Rome", "labels": ["LOC"]}),
        r"a\.json:1: span 6-10 of label 'LOC' does not lie in the text, which has 9 characters \(10 where an",
    ),
    "UTF-16 inside of the text": (
        "a.json", studio({"start": 3, "end": 5, "text": "in", "labels": ["X"]}),
        r"a\.json:1: span 3-5 of label 'X' says 'in', and the text has 'n ' there; it fits where an emoji counts "
        r"as two, as in UTF-16\. Set data\.offsets: utf-16\.$",
    ),
    "another text": (
        "a.json", studio({"start": 2, "end": 4, "text": "at", "labels": ["X"]}),
        r"a\.json:1: span 2-4 of label 'X' says 'at', and the text has 'in' there\. Export again",
    ),
    "two labels": ("a.json", studio({"start": 2, "end": 4, "labels": ["X", "Y"]}), r"2-4 has 2 labels \(X, Y\), and a"),
    "HTML": ("a.json", studio({"start": "/p[1]", "end": "/p[1]", "labels": ["X"]}), "the nodes of HTML"),
    "no text": ("a.json", '[{"data": {"n": 1}, "annotations": [{"result": []}]}]', "expected a text under 'text'"),
    "no result": ("a.json", '[{"data": {"text": "a"}, "annotations": [{"result": 1}]}]', "result: expected a list"),
    "outside, doccano": (
        "a.jsonl", '{"text": "ab", "label": [[0, 2, "X"]]}\n{"text": "ab", "label": [[0, 3, "X"]]}\n',
        r"a\.jsonl:2: span 0-3 of label 'X' does not lie in the text, which has 2 characters; expected",
    ),
    "no span, doccano": (
        "a.jsonl", '{"text": "ab", "label": [[0, 2, "X"]]}\n{"text": "ab", "label": [[0, 3]]}\n',
        r"a\.jsonl:2: expected a span \[start, end, label\]",
    ),
    "no answer, Prodigy": (
        "a.jsonl", '{"text": "a", "spans": [], "answer": "accept"}\n{"text": "a", "answer": "maybe"}',
        r"a\.jsonl:2: answer: expected one of accept, reject, ignore, got 'maybe'",
    ),
    "all rejected": (
        "a.jsonl", '{"text": "a", "spans": [], "answer": "reject"}', r"a\.jsonl: no row is left: 1 rejected",
    ),
    "no pair, spaCy": ("a.json", '[["a", {"entities": []}],\n["b"]]', "a.json:2: expected"),
    "no entity, spaCy": ("a.json", '[["abc", {"entities": [[0, "3", "X"]]}]]', "expected a span with a start"),
}  # fmt: skip


# The same rows as tools write them that count as JavaScript does: U+1F600 is two units of 16 bits, so that each place
# behind it is one more than in Python. The second row has a character of two units inside of a span.
IN_UNITS = [("😀 in Rome", 6, 10, "LOC"), ("to 𝄞lab Oslo", 3, 8, "ORG"), ("no emoji", 3, 8, "X")]
IN_CHARACTERS = [
    {"text": "😀 in Rome", "spans": [{"start": 5, "end": 9, "label": "LOC"}]},
    {"text": "to 𝄞lab Oslo", "spans": [{"start": 3, "end": 7, "label": "ORG"}]},
    {"text": "no emoji", "spans": [{"start": 3, "end": 8, "label": "X"}]},
]


def in_units(tool: str, path: Path) -> Path:
    """An export whose places are counted in units of UTF-16."""
    if tool == "brat":
        for n, (text, start, end, label) in enumerate(IN_UNITS):
            (path / f"{n}.txt").write_text(text)
            said = text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")
            (path / f"{n}.ann").write_text(f"T1\t{label} {start} {end}\t{said}\n")
        return path
    made: dict[str, Any] = {
        "doccano": lambda text, s, e, label: {"text": text, "label": [[s, e, label]]},
        "prodigy": lambda text, s, e, label: {
            "text": text, "spans": [{"start": s, "end": e, "label": label}], "answer": "accept"},
        "spacy": lambda text, s, e, label: [text, {"entities": [[s, e, label]]}],
        "label_studio": lambda text, s, e, label: {
            "data": {"other": "a", "said": text}, "annotations": [{"result": [{"value": {
                "start": s, "end": e, "labels": [label],
                "text": text.encode("utf-16-le")[2 * s : 2 * e].decode("utf-16-le")}}]}]},
    }  # fmt: skip
    return as_jsonl(path / "a.jsonl", [made[tool](*row) for row in IN_UNITS])


@pytest.mark.parametrize("tool", ["label_studio", "doccano", "prodigy", "spacy", "brat"])
def test_places_in_units_of_utf_16_become_places_in_characters(tool: str, tmp_path: Path) -> None:
    rows = read(in_units(tool, tmp_path), format=tool, offsets="utf-16")
    assert [dict(row.fields) for row in rows] == IN_CHARACTERS


def test_places_in_characters_are_named_where_utf_16_is_set(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(studio({"start": 2, "end": 4, "text": "in", "labels": ["X"]}))
    message = r"says 'in', and the text has ' i' there; it fits where an emoji counts as one\. Set data\.offsets: char"
    with pytest.raises(DataError, match=message):
        list(read(tmp_path / "a.json", offsets="utf-16"))
    (tmp_path / "b.json").write_text(studio({"start": 1, "end": 3, "labels": ["X"]}))
    with pytest.raises(DataError, match=r"span 1-3 of label 'X' begins or ends inside of a character\. Export again"):
        list(read(tmp_path / "b.json", offsets="utf-16"))
    (tmp_path / "c.json").write_text(studio({"start": 6, "end": 11, "labels": ["X"]}))
    with pytest.raises(DataError, match="has 10 units of UTF-16; expected 0 <= start < end <= 10"):
        list(read(tmp_path / "c.json", offsets="utf-16"))


def test_offsets_are_refused_of_files_without_spans(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    known = "label_studio, doccano, prodigy, spacy and brat"
    message = "offsets: has no effect on format 'csv', only on "
    with pytest.raises(ConfigError, match=message) as refused:
        list(read(tmp_path / "a.csv", offsets="utf-16"))
    assert all(name in str(refused.value) for name in known.replace(" and", ",").split(", "))


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_annotation_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    name, content, message = BROKEN[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        fields(tmp_path / name)


def test_a_broken_annotation_is_skipped_where_rows_are(tmp_path: Path) -> None:
    path = doccano(tmp_path)
    path.write_text('{"data": "ab", "label": [[0, 9, "X"]]}\n' + path.read_text())
    bad = SkippedRows()
    assert len(list(read(path, format="doccano", bad_rows=bad))) == len(PLAIN)
    assert bad.count == 1


def test_spans_that_overlap_are_named_with_their_line_when_they_are_learned_from(tmp_path: Path) -> None:
    path = spacy_lines(tmp_path)
    path.write_text(path.read_text() + '["Anna Bell", {"entities": [[0, 9, "PER"], [5, 9, "LOC"]]}]\n')
    with pytest.raises(DataError, match=rf"{path}:25: the spans 0-9 \('Anna Bell'\) and 5-9 \('Bell'\) overlap"):
        from_init("tagging", path, tmp_path / "c.yaml")


def test_spans_of_plain_json_that_are_counted_in_utf_16_are_told_so(tmp_path: Path) -> None:
    rows = [*PLAIN, {"text": EMOJI, "spans": [{"start": 6, "end": 10, "label": "LOC"}]}]
    path = as_jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"a\.jsonl:25: span 6-10 .* has 9 characters \(10 where an emoji"):
        from_init("tagging", path, tmp_path / "c.yaml")


def test_a_doc_bin_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "train.spacy").write_bytes(b"\x78\x9c")
    with pytest.raises(DataError, match=r"train\.spacy: is a DocBin, which only spaCy reads\. With spaCy, write"):
        fields(tmp_path / "train.spacy")


# -- brat --------------------------------------------------------------------------------------------------------------


def test_a_document_of_brat_has_its_own_place_and_may_stand_alone(tmp_path: Path) -> None:
    folder = brat(tmp_path)
    records = list(read(folder))
    assert [str(record.origin) for record in records] == [str(folder / f"{n:02}.txt") for n in range(24)]
    assert fields(folder / "03.ann") == [PLAIN[3]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "T1\tLOC 0 3;4 6\tAnn of",
            r"00\.ann:1: T1 of label 'LOC' is discontinuous \(0 3;4 6\), and a span",
        ),
        ("T1\tLOC 0 99\tAnn", r"00\.ann:1: span 0-99 of label 'LOC' does not lie in the text"),
        (
            "T1\tLOC 1 3\tAnn",
            r"00\.ann:1: span 1-3 of label 'LOC' says 'Ann', and the text has 'nn' there",
        ),
        ("T1 LOC 0 3 Ann", r"00\.ann:1: expected a span such as 'T1<tab>PER 0 4<tab>Anna', got 'T1 LOC"),
        ("T1\tLOC 0 9999999999\tAnn", r"00\.ann:1: T1: 0 9999999999 lies in no text"),
    ],
)
def test_a_line_of_brat_that_is_no_span_is_named(line: str, message: str, tmp_path: Path) -> None:
    folder = brat(tmp_path)
    (folder / "00.ann").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        fields(folder)
    bad = SkippedRows()
    assert len(list(read(folder, bad_rows=bad))) == 23
    assert bad.count == 1


def test_a_text_that_is_missing_beside_its_annotations_is_named(tmp_path: Path) -> None:
    folder = brat(tmp_path)
    (folder / "00.txt").unlink()
    with pytest.raises(DataError, match=r"brat: 00\.ann has no text beside it; expected 00\.txt"):
        fields(folder)
    with pytest.raises(DataError, match="holds no annotations of brat"):
        fields(tmp_path, format="brat")


def test_spaces_of_brat_for_line_breaks_are_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("New\nYork is far")
    (tmp_path / "a.ann").write_text("T1\tLOC 0 8\tNew York\n")
    assert fields(tmp_path / "a.ann") == [
        {"text": "New\nYork is far", "spans": [{"start": 0, "end": 8, "label": "LOC"}]}
    ]


# -- folders of texts --------------------------------------------------------------------------------------------------


def classes(folder: Path) -> list[dict[str, str]]:
    """A folder of texts by class, and its rows in the order of their names."""
    rows = sorted(ROWS, key=lambda row: (row["label"], row["text"]))
    for number, row in enumerate(rows):
        (folder / row["label"]).mkdir(parents=True, exist_ok=True)
        (folder / row["label"] / f"{number:03}.txt").write_text(row["text"] + "\r\n", encoding="utf-8")
    return rows


def test_texts_in_a_folder_for_each_class_are_learned_from(tmp_path: Path) -> None:
    rows = classes(tmp_path / "texts")
    notes = same_as_jsonl("classification", tmp_path / "texts", rows, tmp_path)
    assert f"{tmp_path / 'texts'}: read as folders, as its folders hold texts, and each is a class." in notes.text
    records = list(read(tmp_path / "texts"))
    assert str(records[0].origin) == str(tmp_path / "texts" / "neg" / "000.txt")
    assert [dict(record.fields) for record in records] == rows


def test_files_beside_the_classes_are_left_out_and_said(tmp_path: Path) -> None:
    classes(tmp_path)
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("hello")
    (tmp_path / "pos" / "notes.md").write_text("hello")
    notes = Notes()
    assert len(fields(tmp_path, note=notes.note)) == len(ROWS)
    assert notes.messages == [f"{tmp_path}: left out: 1 file beside the folders of classes."]


def test_texts_of_another_encoding_are_read_as_chosen_and_named_otherwise(tmp_path: Path) -> None:
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "a.txt").write_bytes("schön\n".encode("windows-1252"))
    with pytest.raises(DataError, match=r"pos/a\.txt:1: byte 4 of the line, 0xF6, is not UTF-8\. Set data\.encoding"):
        fields(tmp_path)
    assert fields(tmp_path, encoding="windows-1252") == [{"text": "schön", "label": "pos"}]


def test_folders_of_splits_become_the_files_of_the_config(tmp_path: Path) -> None:
    for name in ("train", "test"):
        classes(tmp_path / "all" / name)
    (tmp_path / "all" / "train" / "urls.txt").write_text("http://example.org")
    found, notes = from_init("classification", tmp_path / "all", tmp_path / "c.yaml")
    assert len(found.splits["train"]) + len(found.splits["dev"]) == len(found.splits["test"]) == 24
    assert f"{tmp_path / 'all'}: holds parts: test for test, train for train." in notes.messages
    with pytest.raises(DataError, match=r"holds several splits: name one in the config.*/all/test, "):
        fields(tmp_path / "all")
    with pytest.raises(DataError, match="no folder in it holds texts"):
        fields(tmp_path / "all" / "train" / "pos", format="folders")
