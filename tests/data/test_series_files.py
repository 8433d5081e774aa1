"""Files of series: `.ts` of the UCR and UEA archives, and the older tables of UCR."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.base.errors import DataError
from recurra.data.formats import SkippedRows, read

HEAD = "# a comment\n% another\n@problemName Two\n@timeStamps false\n@univariate false\n@dimensions 2\n"
LABELS = "@classLabel true a b\n@data\n"


def rows(tmp_path: Path, name: str, text: str, **options: object) -> list[dict[str, object]]:
    (tmp_path / name).write_text(text)
    return [dict(one.fields) for one in read(tmp_path / name, **options)]  # type: ignore[arg-type]


def test_channels_stand_side_by_side_step_by_step(tmp_path: Path) -> None:
    text = f"{HEAD}{LABELS}1,2,3:4,5,6:a\n\n# between\n7:8:b\n?,1.5:NaN,2:a\n"
    assert rows(tmp_path, "d.ts", text) == [
        {"values": [["1", "4"], ["2", "5"], ["3", "6"]], "label": "a"},
        {"values": [["7", "8"]], "label": "b"},
        {"values": [["?", "NaN"], ["1.5", "2"]], "label": "a"},
    ]


def test_series_without_labels_have_none(tmp_path: Path) -> None:
    assert rows(tmp_path, "d.ts", "@univariate true\n@classLabel false\n@data\n1,2\n") == [{"values": [["1"], ["2"]]}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}{LABELS}1,2:a\n", r"d.ts:9: has 1 channels, and the header says 2"),
        (f"{HEAD}{LABELS}1,2:3:a\n", r"d.ts:9: its channels have 2, 1 numbers; expected as many in each"),
        (f"{HEAD}{LABELS}a\n", r"d.ts:9: expected numbers, a colon and a label, found no colon"),
        (f"{HEAD}1,2:3,4:a\n", r"d.ts:7: expected @data before the first series"),
        (HEAD, r"d.ts: has no line @data"),
        ("@speed 3\n@data\n1:a\n", r"d.ts:1: unknown tag '@speed'. Known: @problemname"),
        ("@timeStamps true\n@classLabel true a\n@data\n(0,1),(1,2):a\n", r"d.ts: has a stamp in front of each number"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path, "d.ts", text)


def test_a_broken_series_can_be_skipped(tmp_path: Path) -> None:
    skipped = SkippedRows()
    found = rows(tmp_path, "d.ts", f"{HEAD}{LABELS}1,2:a\n1,2:3,4:b\n", bad_rows=skipped)
    assert [row["label"] for row in found] == ["b"]
    assert skipped.count == 1


@pytest.mark.parametrize("between", ["\t", ",", "  "])
def test_a_table_of_ucr_has_the_label_first_and_nan_behind_short_series(tmp_path: Path, between: str) -> None:
    lines = [["1.0000000e+00", "0.5", "-1e-3"], ["-1", "2", "NaN"], ["b", "3", "4"]]
    text = "".join(between.join(line) + "\n" for line in lines)
    assert rows(tmp_path, "d.txt", text, format="ucr") == [
        {"values": ["0.5", "-1e-3"], "label": "1"},
        {"values": ["2"], "label": "-1"},
        {"values": ["3", "4"], "label": "b"},
    ]
    with pytest.raises(DataError, match=r"d.txt:1: expected a label and numbers"):
        rows(tmp_path, "d.txt", "1\n", format="ucr")


def test_a_tsf_file_has_attributes_stamps_and_missing_numbers(tmp_path: Path) -> None:
    (tmp_path / "m.tsf").write_text(
        "# Monash\n@relation r\n@attribute series_name string\n@attribute start_timestamp date\n"
        "@frequency half_hourly\n@horizon 2\n@missing true\n@equallength false\n@data\n"
        "T1:2024-01-01 00-00-00:1,?,3.5\nT2:2024-03-01 10-30-00:7\n"
    )
    first, second = read(tmp_path / "m.tsf")
    assert first.fields == {
        "series_name": "T1",
        "time": ["2024-01-01 00:00:00", "2024-01-01 00:30:00", "2024-01-01 01:00:00"],
        "value": ["1", None, "3.5"],
    }
    assert second.fields["time"] == ["2024-03-01 10:30:00"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("@relation r\n", "has no line @data"),
        ("@colour red\n@data\n", "unknown tag '@colour'"),
        ("@frequency fortnightly\n@data\n", "frequency: unknown word 'fortnightly'"),
        ("@attribute a string\n@data\n1,2\n", "has 0 attributes in front of its numbers, and the header names 1"),
        ("@attribute a date\n@frequency daily\n@data\nsoon:1,2\n", "begins at 'soon', expected a date"),
    ],
)
def test_a_tsf_file_that_cannot_be_read_says_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "m.tsf").write_text(text)
    with pytest.raises(DataError, match=why):
        list(read(tmp_path / "m.tsf"))
