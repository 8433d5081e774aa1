"""Workbooks of Excel: cells as CSV has them, sheets, and what is refused before it is unpacked."""

from __future__ import annotations

import datetime
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from data.formats.formats_room import ROWS, Notes, fields, same_as_jsonl
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, excel, read

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed; it comes with recurra[test]")


def workbook(path: Path, **sheets: Sequence[Sequence[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def changed(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """A workbook with one of its parts changed, as text."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[part] = change(parts[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_a_sheet_is_learned_from_as_the_same_rows_in_json(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["text", "label"], *([row["text"], row["label"]] for row in ROWS)])
    same_as_jsonl("classification", path, ROWS, tmp_path)


def test_cells_are_text_as_a_csv_file_has_them(tmp_path: Path) -> None:
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 13, 5, 7)
    cells = {
        "a": "x", "b": 5, "c": 0.1 + 0.2, "d": True, "e": day, "f": moment, "g": datetime.time(9, 30),
        "h": datetime.timedelta(hours=30, minutes=1), "i": None, "j": "#N/A", "k": 1e21,
        "l": " two\nlines ", "m": False,
    }  # fmt: skip
    path = workbook(tmp_path / "a.xlsx", One=[list(cells), list(cells.values())])
    assert fields(path) == [
        {
            "a": "x", "b": "5", "c": "0.3", "d": "TRUE", "e": "2024-02-29", "f": "2024-02-29 13:05:07", "g": "09:30:00",
            "h": "30:01:00", "i": "", "j": "#N/A", "k": "1e+21", "l": " two\nlines ", "m": "FALSE",
        }
    ]  # fmt: skip


def test_times_keep_their_fractions_of_a_second(tmp_path: Path) -> None:
    start, quarter = datetime.datetime(2024, 2, 29), datetime.timedelta(milliseconds=250)
    cells = [[start + k * quarter, datetime.timedelta(hours=30) + k * quarter] for k in range(5)]
    path = workbook(tmp_path / "a.xlsx", One=[["moment", "for"], *cells])
    assert [list(row.values()) for row in fields(path)] == [
        ["2024-02-29", "30:00:00"],
        ["2024-02-29 00:00:00.250", "30:00:00.250"],
        ["2024-02-29 00:00:00.500", "30:00:00.500"],
        ["2024-02-29 00:00:00.750", "30:00:00.750"],
        ["2024-02-29 00:00:01", "30:00:01"],
    ]
    assert excel.text_of(-datetime.timedelta(seconds=90, milliseconds=5)) == "-0:01:30.005"
    assert excel.text_of(datetime.datetime(2024, 2, 29, 0, 0, 0, 7)) == "2024-02-29 00:00:00.000007"


def test_a_row_has_its_number_in_the_sheet_and_empty_rows_are_none(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[[], ["a", "b"], [1, 2], [], [3], []])
    found = [(dict(record.fields), str(record.origin)) for record in read(path)]
    assert found == [({"a": "1", "b": "2"}, f"{path}:3"), ({"a": "3", "b": ""}, f"{path}:5")]


def test_the_first_sheet_is_read_which_is_said_or_the_one_that_is_chosen(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a"], [1]], Two=[["b"], [2]])
    notes = Notes()
    assert fields(path, note=notes.note) == [{"a": "1"}]
    assert notes.messages == [f"{path}: sheet 'One' of 2 is read; data.sheet chooses another."]
    notes = Notes()
    assert fields(path, sheet="Two", note=notes.note) == [{"b": "2"}]
    assert notes.messages == []
    with pytest.raises(ConfigError, match=r"sheet: .*a\.xlsx has no sheet 'Tow'\. Did you mean 'Two'\? Sheets: One"):
        fields(path, sheet="Tow")
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="sheet: has no effect on format 'csv', only on excel"):
        fields(tmp_path / "a.csv", sheet="One")


def test_a_sheet_without_a_header_takes_the_names_that_are_given(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["x", 1], ["y", 2, 3]])
    bad = SkippedRows()
    rows = [dict(record.fields) for record in read(path, columns=["text", "n"], bad_rows=bad)]
    assert rows == [{"text": "x", "n": "1"}]
    assert f"{path}:2: cell C2 holds '3', and data.columns has 2 names" in bad.examples[0]


def test_the_index_of_pandas_is_a_column_without_a_name(tmp_path: Path) -> None:
    assert fields(workbook(tmp_path / "a.xlsx", One=[[None, "text"], [0, "x"]])) == [{"": "0", "text": "x"}]


def test_a_formula_has_its_stored_value_and_is_named_without_one(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a", "b"], [5, "x"], ["=1+1", "y"], [6, "z"]])
    changed(path, SHEET, lambda xml: xml.replace("<v>5</v>", "<f>2+3</f><v>5</v>"))
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["5", "6"]
    assert bad.examples == (
        f"{path}:3: cell A3 holds the formula =1+1 without a value. Open the file in a spreadsheet and save it, which "
        "stores the values.",
    )


def test_a_name_over_several_columns_is_named_by_the_first_cell_below_it(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["text", None, "label"])
    book.active.append(["one", "two", "x"])
    book.active.merge_cells("A1:B1")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"a\.xlsx:2: cell B2 holds 'two', and B1, the name of its column, is empty"):
        fields(tmp_path / "a.xlsx")


def test_columns_are_named_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.xlsx:1: column 'a' appears twice in the header"):
        fields(workbook(tmp_path / "a.xlsx", One=[["a", "a"], [1, 2]]))
    with pytest.raises(DataError, match=r"a\.xlsx: the sheet is empty, expected names of columns and rows"):
        fields(workbook(tmp_path / "a.xlsx", One=[]))
    with pytest.raises(DataError, match=r"a\.xlsx: has no rows"):
        fields(workbook(tmp_path / "a.xlsx", One=[["a"]]))


def test_a_sheet_that_says_a_wrong_size_is_read_whole(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a", "b"], [1, 2]])
    changed(path, SHEET, lambda xml: xml.replace('<dimension ref="A1:B2"', '<dimension ref="A1"'))
    assert fields(path) == [{"a": "1", "b": "2"}]


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (OLE, r"is a workbook of Excel before 2007 \(\.xls\)\. Save it as \.xlsx or CSV"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "is protected by a password"),
        (b"text,label\nx,y\n", r"is no workbook of Excel: it begins with b'text,lab'\. If it is a table under a wrong"),
        (b"", "is no workbook of Excel"),
    ],
)
@pytest.mark.parametrize("name", ["a.xlsx", "a.xls"])
def test_what_is_no_workbook_is_refused_in_a_sentence(content: bytes, sentence: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        fields(tmp_path / name)


def test_a_damaged_workbook_is_refused_in_a_sentence(tmp_path: Path) -> None:
    rows = [["a", "b"], *([n, f"text {n}"] for n in range(600))]
    path = workbook(tmp_path / "a.xlsx", One=rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is no workbook of Excel"):
        fields(path)
    path.write_bytes(whole)
    changed(path, SHEET, lambda xml: xml[: xml.index('r="500"')])
    with pytest.raises(DataError, match=r"a\.xlsx: the workbook is damaged \(ParseError: "):
        fields(path)
    changed(workbook(path, One=rows), "xl/workbook.xml", lambda xml: "<workbook/>")
    with pytest.raises(DataError, match=r"a\.xlsx: "):
        fields(path)


def test_parts_that_unpack_to_too_much_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a"], [1]])
    changed(path, SHEET, lambda xml: xml.replace("</worksheet>", " " * (excel.SMALL + 1) + "</worksheet>"))
    with pytest.raises(DataError, match=r"its part 'xl/worksheets/sheet1\.xml' unpacks from [\d,]+ to 16,7"):
        fields(path)
    monkeypatch.setattr(excel, "MAX_UNPACKED", 2**20)
    with pytest.raises(DataError, match=r"a\.xlsx: unpacks to 16,\d+,\d+ bytes in \d+ parts, expected at most"):
        fields(path)
    with zipfile.ZipFile(path, "w") as parts:
        for number in range(30):
            parts.writestr(str(number), b"")
    monkeypatch.setattr(excel, "MAX_PARTS", 20)
    with pytest.raises(DataError, match=r"in 30 parts, expected at most .* in 20"):
        fields(path)


def test_xml_that_defines_entities_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a"], [1]])
    changed(path, SHEET, lambda xml: '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + xml)
    with pytest.raises(DataError, match=r"its part 'xl/worksheets/sheet1\.xml' defines entities"):
        fields(path)


def test_a_machine_without_openpyxl_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", One=[["a"], [1]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r'openpyxl, which is not installed; pip install "recurra\[excel\]"'):
        fields(path)
