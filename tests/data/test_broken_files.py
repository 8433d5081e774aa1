"""Broken files: each ends in a sentence that names file, line, what was expected and what to do."""

from __future__ import annotations

import gzip
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import MAX_LINE_BYTES, ON_ERROR, SkippedRows, read
from recurra.data.formats.lines import Lines


def refused(path: Path, message: str, **options: object) -> None:
    """Reading `path` raises a DataError that begins with its name and holds `message`, a pattern."""
    with pytest.raises(DataError, match=re.escape(str(path)) + message):
        list(read(path, **options))  # type: ignore[arg-type]


def put_bytes(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


BROKEN = {
    "empty": ("a.csv", b"", ": is empty, expected a header and rows"),
    "empty text": ("a.txt", b"", ": is empty, expected rows"),
    "only a byte order mark": ("a.csv", b"\xef\xbb\xbf", ": is empty"),
    "header without rows": ("a.csv", b"text,label\n", ": has no rows, only 1 line of header"),
    "only blank lines": ("a.jsonl", b"\n\n\n", ": has no rows, only 3 lines"),
    "duplicate columns": ("a.csv", b"a,b,a\n1,2,3\n", ":1: column 'a' appears twice in the header .a, b, a."),
    "too few cells": ("a.csv", b"a,b\n1,2\n3\n", r":3: expected 2 cells \(a, b\), got 1: '3'"),
    "too many cells": ("a.tsv", b"a\tb\n1\t2\t3\n", r":2: expected 2 cells \(a, b\), got 3: '1 \| 2 \| 3'"),
    "not UTF-8": (
        "a.csv",
        b"text\n\xc3\xa9\ncaf\xe9\n",
        ":3: byte 4 of the line, 0xE9, is not UTF-8. Set data.encoding to",
    ),
    "not UTF-8 in the header": ("a.csv", b"t\xe9xt\n\xc3\xa9\n", ":1: byte 2 of the line, 0xE9, is not UTF-8"),
    "NUL": ("a.csv", b"text\nab\0c\n", ":2: byte 3 of the line is NUL, which no text holds. Remove what is"),
    "NUL at the end of the file": ("a.csv", b"text\nfine\n\0", ":3: the file ends in 1 NUL byte, "),
    "a file cut off": ("a.txt", b"fine\nfi" + b"\0" * 4096, ":2: the file ends in 4,096 NUL bytes, as .* cut off"),
    "padded with NUL": ("a.txt", b"ab\0\0\0\0\0\0\nc\0", ":1: byte 3 of the line is NUL, which no text holds"),
    "UTF-16": ("a.csv", "text\nfine\n".encode("utf-16-le"), ":1: the file looks like UTF-16LE.*iconv -f UTF-16LE"),
    "UTF-16, the other way": ("a.csv", "text\n".encode("utf-16-be"), ":1: the file looks like UTF-16BE"),
    "UTF-16 in Cyrillic": ("a.txt", "мама мыла раму\n".encode("utf-16-le"), ":1: the file looks like UTF-16LE"),
    "UTF-16 cut in a letter": ("a.txt", "日本語\n".encode("utf-16")[:-1], ":1: character 4 of the line is no UTF-16"),
    "half a pair in UTF-16": ("a.txt", b"\xff\xfea\0\0\xd8b\0", ":1: character 2 of the line is no UTF-16"),
    "UTF-32": ("a.txt", "text\n".encode("utf-32-le"), ":1: the file looks like UTF-32LE"),
    "typographic quotes": ("a.csv", "a,b\n“x, y”,z\n".encode(), ":2: expected 2 cells .* got 3.* “ and ” are"),
    "quote never closed": ("a.csv", b'a,b\n1,"x\ny\nz,w\n', ":2: a quote opens here and is never closed"),
    "text behind a quote": ("a.csv", b'a,b\n1,"x"y\n', ":2: expected a comma after the quote .* line 2, got 'y'"),
    "text behind a quote, lines on": ("a.csv", b'a,b\n1,"x\ny" z\n', ":2: expected a comma .* closes at line 3"),
    "not UTF-8 inside a cell": ("a.csv", b'a,b\n1,"x\n\xff\xc3\xa9"\n', ":3: byte 1 of the line, 0xFF, is not UTF-8"),
    "not JSON": ("a.jsonl", b'{"a": 1}\n{"a": }\n', ":2: not JSON: Expecting value at character 7"),
    "cut JSON": ("a.jsonl", b'{"a": "x', ":1: not JSON: Unterminated string"),
    "not an object": ("a.jsonl", b"[1, 2]\n", r":1: expected a JSON object like .*, got '\[1, 2\]'"),
    "JSON NaN": ("a.jsonl", b'{"a": NaN}\n', ":1: NaN is not JSON"),
    "JSON infinity": ("a.jsonl", b'{"a": -Infinity}\n', ":1: -Infinity is not JSON"),
    "JSON infinity by overflow": ("a.jsonl", b'{"a": 1e999}\n', ":1: the number 1e999 is too large"),
    "JSON key twice": ("a.jsonl", b'{"a": 1, "a": 2}\n', ":1: key 'a' appears twice"),
    "JSON key twice, inside": ("a.jsonl", b'{"x": {"a": 1, "a": 2}}\n', ":1: key 'a' appears twice"),
    "JSON too deep": ("a.jsonl", b'{"a":' + b"[" * 100_000 + b"\n", ":1: the JSON is nested too deeply"),
    "JSON half a pair": ("a.jsonl", b'{"a": "\\ud800"}\n', ":1: a .u escape is half of a surrogate pair"),
    "JSON number of 5,000 digits": ("a.jsonl", b'{"a": ' + b"1" * 5000 + b"}\n", ":1: "),
    "named gz": ("a.csv.gz", b"text\nplain\n", ": is named .gz but is not a gzip file"),
    "cut gzip": (
        "a.csv.gz",
        gzip.compress(b"text\n" + os.urandom(9000).hex().encode())[:4000],
        ":2: .* ends too early",
    ),
    "damaged gzip": ("a.txt.gz", gzip.compress(b"text\nfine\n")[:-8] + b"\0" * 8, ":3: the gzip file is damaged"),
    "header of gzip only": ("a.txt.gz", b"\x1f\x8b", ":1: the gzip file ends too early"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_line_and_reason(tmp_path: Path, case: str) -> None:
    name, content, message = BROKEN[case]
    refused(put_bytes(tmp_path, name, content), message)


def test_a_broken_row_in_gzip_has_its_line_number_too(tmp_path: Path) -> None:
    refused(put_bytes(tmp_path, "a.csv.gz", gzip.compress(b'a,b\n1,"x\ny"\n2\n')), ":4: expected 2 cells")


def test_a_missing_file_is_named_with_its_neighbour(tmp_path: Path) -> None:
    put_bytes(tmp_path, "train.csv", b"a\n1\n")
    refused(tmp_path / "trian.csv", r": no such file\. Did you mean 'train\.csv'\?")
    refused(tmp_path / "no" / "train.csv", r": no such file\. The folder '.*no' does not exist either")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    refused(tmp_path, ": is a folder, expected a file", format="csv")


def test_a_path_that_cannot_be_opened_is_a_data_error() -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        list(read("a\0b.csv"))


def test_a_wrong_column_is_named_with_its_neighbour(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"id,text,label\n1,x,y\n")
    refused(path, r":1: no column 'lable'\. Did you mean 'label'\? Columns: id, text, label\.", fields=["lable"])


def test_a_json_row_without_a_wanted_key_is_a_bad_row(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.jsonl", b'{"text": 1}\n{"tex": 2}\n')
    refused(path, r":2: no column 'text'\. Did you mean 'tex'\?", fields=["text"])


def test_a_header_under_given_columns_is_noticed(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"label,text\n1,x\n")
    refused(path, ":1: the first line is a header, but `columns` is set", columns=["label", "text"])


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_line_over_the_limit_is_refused_without_being_read_to_its_end(tmp_path: Path, name: str) -> None:
    content = b"text\n" + b"x" * (4 * MAX_LINE_BYTES)
    path = put_bytes(tmp_path, name, gzip.compress(content, 1) if name.endswith("gz") else content)
    tracemalloc.start()
    refused(path, ":2: the line is longer than 8,388,608 bytes, the limit")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * MAX_LINE_BYTES


def test_a_line_of_just_the_limit_is_read(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.txt", b"x" * (MAX_LINE_BYTES - 1) + b"\n" + b"y\n")
    assert [len(record.fields["text"]) for record in read(path)] == [MAX_LINE_BYTES - 1, 1]


def test_a_quote_that_is_not_closed_within_the_limit_is_refused(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b'a\n"' + (b"x" * 999_999 + b"\n") * 9)
    refused(path, ":2: a quote opens here and is not closed within 8,388,608 bytes")


def test_skipped_rows_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"a,b\n1,2\n3\n\xff,4\n5,6\n7,\0\n8,\xc3\xa9\n")
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["1", "5", "8"]
    assert bad.count == 3
    assert [message.split(": ")[0] for message in bad.examples] == [f"{path}:{line}" for line in (3, 4, 6)]


def test_skipping_goes_on_behind_a_line_over_the_limit(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"text\none\n" + b"x" * (MAX_LINE_BYTES + 70_000) + b"\ntwo\n")
    bad = SkippedRows()
    assert [record.fields["text"] for record in read(path, bad_rows=bad)] == ["one", "two"]
    assert bad.count == 1


def test_a_stray_quote_loses_its_own_row_only(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b'a,b\n1,"stray\n2,fine\n3,"also, fine"\n4,last\n')
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["2", "3", "4"]
    assert bad.count == 1
    assert bad.examples[0].startswith(f"{path}:2: ")


def test_a_damaged_line_inside_a_cell_loses_the_whole_row_and_no_other(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b'a,b\n1,"x\n\xff\nlooks,like a row\n"\n2,fine \xc3\xa9\n')
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["2"]
    assert bad.count == 1


# Each of these lines leaves a cell open at its end, whether or not one was open at its beginning.
ENDLESS = b'",a","\n'


@pytest.mark.parametrize("end", [b"", b'","x\n', b"\xff\n"])
def test_quotes_that_never_close_cost_each_line_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    """Each line may begin a row, and rows go on to the end: 1 MB of them would take hours, line by line to the end."""
    taken = 0
    step = Lines.__next__

    def counted(lines: Lines) -> object:
        nonlocal taken
        taken += 1
        return step(lines)

    monkeypatch.setattr(Lines, "__next__", counted)
    path = put_bytes(tmp_path, "a.csv", b"a,b\n1,2\n" + ENDLESS * 500 + end)
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["1"]
    assert bad.count == 500 + bool(end)
    assert taken < 4 * 500


def test_a_row_behind_quotes_that_do_not_close_is_read(tmp_path: Path) -> None:
    """Three rows give up at the line that has text behind a quote; the next one begins there, and is whole."""
    path = put_bytes(tmp_path, "a.csv", b"a,b\n" + ENDLESS * 3 + b'"x,\ny",z\n3,4\n')
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["x,\ny", "3"]
    # The first one opened its last cell on line 4.
    assert [message.split(": ")[0] for message in bad.examples] == [f"{path}:{line}" for line in (4, 3, 4)]
    assert all("expected a comma after the quote that closes at line 5, got 'x'" in one for one in bad.examples)


def test_a_damaged_line_behind_a_stray_quote_is_still_a_damaged_line(tmp_path: Path) -> None:
    """It is looked at twice: inside a cell that never closes, and as a row of its own."""
    path = put_bytes(tmp_path, "a.csv", b'a,b\n1,"stray\ncaf\xe9,2\n3,4\xc3\xa9\n')
    bad = SkippedRows()
    assert [record.fields["a"] for record in read(path, bad_rows=bad)] == ["3"]
    assert "byte 4 of the line, 0xE9, is not UTF-8" in bad.examples[1]


def test_only_the_first_five_messages_are_kept(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"a,b\n" + b"1\n" * 20 + b"1,2\n")
    bad = ON_ERROR["skip"]()
    assert len(list(read(path, bad_rows=bad))) == 1
    assert (bad.count, len(bad.examples)) == (20, 5)


def test_a_file_with_no_good_row_is_refused_though_rows_are_skipped(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.csv", b"a,b\n1\n2\n")
    refused(path, ": all 2 rows were skipped. The first: .*:2: expected 2 cells", bad_rows=SkippedRows())


def test_damage_to_the_file_itself_is_never_skipped(tmp_path: Path) -> None:
    path = put_bytes(tmp_path, "a.txt.gz", gzip.compress(b"one\n" * 9)[:-8])
    refused(path, ":10: the gzip file ends too early", bad_rows=SkippedRows())


def test_an_unknown_choice_on_error_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown on_error choice 'skp'\. Did you mean 'skip'\?"):
        ON_ERROR["skp"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=40), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt", "a.csv.gz"])
)
def test_any_bytes_end_in_records_or_a_data_error(tmp_path: Path, content: bytes, name: str) -> None:
    path = put_bytes(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
    try:
        list(read(path, bad_rows=SkippedRows()))
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017  (records are as good an end as this error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text('",\nx', max_size=14))
def test_any_arrangement_of_quotes_is_read_or_refused_and_loses_no_good_line(tmp_path: Path, text: str) -> None:
    """The line after the odd ones holds a row of its own; it is lost only inside a cell that is closed after it."""
    path = put_bytes(tmp_path, "a.csv", f"a,b\n{text}\nlast,row\n".encode())
    rows = [record.fields for record in read(path, bad_rows=SkippedRows())]
    assert rows[-1] == {"a": "last", "b": "row"}
