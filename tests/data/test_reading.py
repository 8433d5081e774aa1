"""Good files: what comes out is what is written in them, lazily, whatever their packing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra.base.contracts import Origin, Record
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import FORMATS, SkippedRows, field, num_lines, read, resolved_format
from recurra.data.formats.lines import open_lines

# The same folder serves all examples: each one overwrites the file.
SMALL = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NOT_NUL = st.characters(exclude_characters="\0", exclude_categories=("Cs",))
ANY_TEXT = st.text(NOT_NUL, max_size=8)
ONE_LINE = st.text(st.characters(exclude_characters="\0\t\r\n", exclude_categories=("Cs",)), max_size=8)


def tables(cells: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    """Two to four columns (one column of empty cells would be blank lines), one to five rows."""
    return st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=5)
    )


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def fields(path: Path, **options: object) -> list[dict[str, object]]:
    return [dict(record.fields) for record in read(path, **options)]  # type: ignore[arg-type]


@SMALL
@given(rows=tables(ANY_TEXT), ending=st.sampled_from(["\n", "\r\n"]), always_quoted=st.booleans())
def test_what_the_standard_csv_writer_wrote_is_read_back(
    tmp_path: Path, rows: list[list[str]], ending: str, always_quoted: bool
) -> None:
    names = [f"c{n}" for n in range(len(rows[0]))]
    text = io.StringIO(newline="")
    # Python 3.11 puts no quotes around a lone CR where lines end with LF; then CR LF is an end, as everywhere.
    always_quoted = always_quoted or "\r" in "".join(cell for row in rows for cell in row)
    quoting = csv.QUOTE_ALL if always_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=ending, quoting=quoting).writerows([names, *rows])
    assert fields(put(tmp_path, "t.csv", text.getvalue())) == [dict(zip(names, row, strict=True)) for row in rows]


@SMALL
@given(rows=tables(ONE_LINE))
def test_tab_separated_cells_are_read_back_quotes_and_all(tmp_path: Path, rows: list[list[str]]) -> None:
    names = [f"c{n}" for n in range(len(rows[0]))]
    text = "".join("\t".join(row) + "\n" for row in [names, *rows])
    assert fields(put(tmp_path, "t.tsv", text)) == [dict(zip(names, row, strict=True)) for row in rows]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY_TEXT, inner, max_size=2),
    max_leaves=4,
)


@SMALL
@given(rows=st.lists(st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=3), min_size=1, max_size=4), ascii=st.booleans())
def test_json_objects_are_read_back(tmp_path: Path, rows: list[dict[str, object]], ascii: bool) -> None:
    text = "".join(json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows)
    assert fields(put(tmp_path, "t.jsonl", text)) == rows


@SMALL
@given(lines=st.lists(ONE_LINE, min_size=1, max_size=5))
def test_each_line_of_a_text_file_is_a_record_blank_ones_too(tmp_path: Path, lines: list[str]) -> None:
    text = "".join(line + "\n" for line in lines)
    assert fields(put(tmp_path, "t.txt", text)) == [{"text": line} for line in lines]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "ending"])
def test_gzip_bom_windows_line_ends_and_a_missing_last_one_change_nothing(
    tmp_path: Path, name: str, bom: str, ending: str, last: str
) -> None:
    text = bom + ending.join(["label,text", "1,good", '0,"bad, very"']) + (ending if last else "")
    assert fields(put(tmp_path, name, text)) == [{"label": "1", "text": "good"}, {"label": "0", "text": "bad, very"}]


def test_a_record_names_the_line_where_its_row_begins(tmp_path: Path) -> None:
    path = put(tmp_path, "t.csv", 'id,text\n1,"two\nlines"\n\n2,"a ""quoted"" word"\n3,5" wide\n')
    assert list(read(path)) == [
        Record({"id": "1", "text": "two\nlines"}, Origin(str(path), 2)),
        Record({"id": "2", "text": 'a "quoted" word'}, Origin(str(path), 5)),
        Record({"id": "3", "text": '5" wide'}, Origin(str(path), 6)),
    ]


def test_line_breaks_inside_a_quoted_cell_stay_as_they_are(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "t.csv", 'a,b\r\n1,"x\r\ny\nz"\r\n')) == [{"a": "1", "b": "x\r\ny\nz"}]


def test_an_unnamed_first_column_is_read(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "t.csv", ",text\n0,hello\n")) == [{"": "0", "text": "hello"}]


def test_columns_name_the_cells_of_a_file_without_header(tmp_path: Path) -> None:
    path = put(tmp_path, "SMSSpam", 'ham\tOk "lar"\nspam\tWIN\n')
    assert fields(path, format="tsv", columns=["label", "text"]) == [
        {"label": "ham", "text": 'Ok "lar"'},
        {"label": "spam", "text": "WIN"},
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", "csv"), ("a.TSV.GZ", "tsv"), ("a.b.jsonl", "jsonl"), ("a.ndjson.gz", "jsonl"), ("a.txt", "text")],
)
def test_auto_takes_the_format_from_the_suffix(name: str, expected: str) -> None:
    assert resolved_format(name) == expected


def test_a_row_that_repeats_the_header_further_down_is_a_row(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "a.csv", "a,b\na,b\n")) == [{"a": "a", "b": "b"}]
    assert len(fields(put(tmp_path, "a.csv", "1,2\na,b\n"), columns=["a", "b"])) == 2


def test_auto_refuses_a_name_that_says_nothing() -> None:
    with pytest.raises(ConfigError, match=r"data\.doc: the name does not tell the format\. .*csv, tsv, "):
        resolved_format("data.doc")


def test_an_unknown_format_is_named_with_its_neighbour(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown format 'jsnol'\. Did you mean 'jsonl'\?"):
        read(tmp_path / "a.csv", format="jsnol")


@pytest.mark.parametrize(("name", "columns"), [("a.jsonl", ["x"]), ("a.txt", ["x"])])
def test_columns_are_refused_where_they_have_no_effect(tmp_path: Path, name: str, columns: list[str]) -> None:
    with pytest.raises(ConfigError, match="columns: has no effect on format"):
        read(tmp_path / name, columns=columns)


@pytest.mark.parametrize("columns", [[], ["a", "a"], "ab"])
def test_columns_must_be_different_names(tmp_path: Path, columns: list[str]) -> None:
    with pytest.raises(ConfigError, match="columns: expected a list of different names"):
        read(tmp_path / "a.csv", columns=columns)


def test_a_field_that_is_not_there_is_named_with_its_neighbour() -> None:
    record = Record({"text": "x", "label": "1"}, Origin("a.csv", 7))
    assert field(record, "label") == "1"
    with pytest.raises(DataError, match=r"a\.csv:7: no column 'txt'\. Did you mean 'text'\? Columns: text, label\."):
        field(record, "txt")


def test_a_row_is_given_out_before_the_next_one_exists(tmp_path: Path) -> None:
    """The writer of the pipe waits for the reader to have its first row."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    have_first = threading.Event()

    def write() -> None:
        with open(pipe, "wb") as file:
            file.write(b"text\nfirst\n")
            file.flush()
            assert have_first.wait(5)
            file.write(b"second\n")

    writer = threading.Thread(target=write)
    writer.start()
    rows = read(pipe, format="csv")
    assert next(rows).fields == {"text": "first"}
    have_first.set()
    assert next(rows).fields == {"text": "second"}
    rows.close()  # type: ignore[attr-defined]
    writer.join(5)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"  # 16 MB unpacked, in lines of 8 KB
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(2000):
            file.write(b'{"text": "' + b"a" * 8000 + b'"}\n')
    tracemalloc.start()
    count = sum(1 for _ in read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2000
    assert peak < 2e6


def test_every_format_has_a_line_of_help_and_a_name_by_which_it_is_taken() -> None:
    words = "csv tsv prodigy doccano label_studio spacy json jsonl excel parquet arrow datasets brat folders texts text"
    more = "sounds images sequences numpy idx arff fasta squad kaldi bvh films captions coco"
    assert set(FORMATS) == {*words.split(), "parallel", "conll", "conllu", "ts", "tsf", "ucr", *more.split()}
    assert all(known.doc for known in FORMATS.values())
    nameless = [name for name, known in FORMATS.items() if not (known.suffixes or known.takes)]
    assert nameless == ["parallel", "ucr"]  # known by its braces, and by its numbers


CAFE, APART = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
@pytest.mark.parametrize(("header", "asked"), [(CAFE, APART), (APART, CAFE), ("\u200btext", "text"), (" text", "text")])
def test_a_column_is_found_by_any_spelling_and_keeps_its_own(
    tmp_path: Path, name: str, header: str, asked: str
) -> None:
    (record,) = read(
        put(tmp_path, name, f"{header},n\nx,1\n".replace(",", "," if "csv" in name else "\t")), fields=[asked]
    )
    assert field(record, asked) == "x"
    assert list(record.fields) == [header, "n"]


def test_a_column_is_found_by_any_spelling_in_each_row_of_json(tmp_path: Path) -> None:
    rows = read(put(tmp_path, "t.jsonl", f'{{"{CAFE}": 1}}\n{{"{APART}": 2}}\n'), fields=[CAFE])
    assert [field(row, APART) for row in rows] == [1, 2]


def test_two_spellings_of_a_column_are_the_column_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="appears twice in the header"):
        fields(put(tmp_path, "t.csv", f"{CAFE},{APART}\n1,2\n"))
    with pytest.raises(ConfigError, match="expected a list of different names"):
        fields(put(tmp_path, "t.csv", "1,2\n"), columns=[CAFE, APART])


# -- what programs make of a text file ---------------------------------------------------------------------------------

TABLE = ["label,text", "1,good", '0,"bad, very"']
ROWS = [{"label": "1", "text": "good"}, {"label": "0", "text": "bad, very"}]


@pytest.mark.parametrize("last", ["", "\r"])
def test_line_ends_of_old_macs_end_lines(tmp_path: Path, last: str) -> None:
    assert fields(put(tmp_path, "t.csv", "\r".join(TABLE) + last)) == ROWS
    assert fields(put(tmp_path, "t.txt", "a\r\rb" + last)) == [{"text": "a"}, {"text": ""}, {"text": "b"}]
    sentences = fields(put(tmp_path, "t.conll", "In O\rRome B-LOC\r\rNo O" + last))
    assert [row["token"] for row in sentences] == [["In", "Rome"], ["No"]]
    assert [record.origin.line for record in read(put(tmp_path, "t.tsv", "a\tb\r1\t2\r3\t4" + last))] == [2, 3]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [False, True])
def test_lines_are_counted_whatever_ends_them(tmp_path: Path, ending: str, last: bool) -> None:
    path = put(tmp_path, "t.txt", ending.join(["a", "", "b", "c"]) + ending * last)
    assert num_lines(path) == 4
    with open_lines(path) as lines:
        assert next(lines).text == "a"
        assert lines.rest() == 3


def test_a_large_file_of_an_old_mac_is_read_in_linear_time(tmp_path: Path) -> None:
    rows = fields(put(tmp_path, "t.csv.gz", "n,text\r" + "1,abcdefgh\r" * 50_000))
    assert len(rows) == 50_000
    assert set(map(tuple, (row.values() for row in rows))) == {("1", "abcdefgh")}


def test_mixed_line_ends_end_lines_and_a_lone_carriage_return_between_others_does_not(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "t.csv", "\r\n".join(TABLE[:2]) + "\n" + TABLE[2] + "\r\n")) == ROWS
    assert fields(put(tmp_path, "t.txt", "a\nb\rc\nd")) == [{"text": "a"}, {"text": "b\rc"}, {"text": "d"}]


@pytest.mark.parametrize("end", ["\x1a", "\n\x1a", "\r\n\x1a\x1a\x1a"])
def test_the_end_mark_of_dos_is_no_text(tmp_path: Path, end: str) -> None:
    assert fields(put(tmp_path, "t.csv", "\n".join(TABLE) + end)) == ROWS
    assert fields(put(tmp_path, "t.txt", "a\x1ab" + end)) == [{"text": "a\x1ab"}]


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c"])
def test_other_signs_that_break_lines_are_signs_in_a_line(tmp_path: Path, sign: str) -> None:
    assert fields(put(tmp_path, "t.txt", f"a{sign}b\n")) == [{"text": f"a{sign}b"}]
    assert fields(put(tmp_path, "t.csv", f"label,text\n1,a{sign}b\n")) == [{"label": "1", "text": f"a{sign}b"}]


@pytest.mark.parametrize("first", ["sep=,", "SEP=,", '"sep=,"', "\ufeffsep=,"])
def test_the_line_that_tells_a_spreadsheet_the_separator_is_no_header(tmp_path: Path, first: str) -> None:
    assert fields(put(tmp_path, "t.csv", "\r\n".join([first, *TABLE]))) == ROWS
    assert [r.origin.line for r in read(put(tmp_path, "t.csv", "\n".join([first, *TABLE])))] == [3, 4]


@pytest.mark.parametrize("sign", [";", "|", "\t", "^"])
def test_it_names_any_separator(tmp_path: Path, sign: str) -> None:
    text = f'sep={sign}\nlabel{sign}text\n1{sign}a, b\n0{sign}"x{sign}""y"\n'
    assert fields(put(tmp_path, "t.csv", text)) == [
        {"label": "1", "text": "a, b"},
        {"label": "0", "text": f'x{sign}"y'},
    ]


@pytest.mark.parametrize("sign", [";", "|", "\t"])
def test_a_header_without_commas_shows_the_separator(tmp_path: Path, sign: str) -> None:
    text = f'"a, price"{sign}text\n1,50{sign}so, so\n2{sign}"x{sign}y"\n'
    expected = [{"a, price": "1,50", "text": "so, so"}, {"a, price": "2", "text": f"x{sign}y"}]
    assert fields(put(tmp_path, "t.csv", text)) == expected


def test_names_that_are_given_show_the_separator_of_the_first_row(tmp_path: Path) -> None:
    given = ["price", "text"]
    for text in ("1,50;good\n", '"1,50",good\n', "1,50|good\n"):
        assert fields(put(tmp_path, "t.csv", text), columns=given) == [{"price": "1,50", "text": "good"}]
    assert fields(put(tmp_path, "t.csv", "1,a; b\n"), columns=given) == [{"price": "1", "text": "a; b"}]


def test_a_comma_stays_the_separator_where_there_is_one(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "t.csv", "a;b,c\n1;2,3\n")) == [{"a;b": "1;2", "c": "3"}]


def test_columns_without_names_have_their_numbers(tmp_path: Path) -> None:
    assert fields(put(tmp_path, "t.csv", "a,,b,\n1,2,3,\n")) == [{"a": "1", "column 2": "2", "b": "3", "column 4": ""}]


def test_a_text_of_one_line_of_many_megabytes_is_read(tmp_path: Path) -> None:
    line = "anarchism originated as a term " * 400_000  # 12 MB
    assert fields(put(tmp_path, "text8.txt", line)) == [{"text": line}]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_blank_line_in_a_table_of_one_column_is_an_empty_cell(name, ending, tmp_path):
    lines = ["text", "one", "", "", "two", "", "", ""]
    (tmp_path / name).write_bytes(ending.join(lines).encode())
    found = [(record.fields["text"], record.origin.line) for record in read(tmp_path / name)]
    assert found == [("one", 2), ("", 3), ("", 4), ("two", 5)], "blank lines at the end are none"
    (tmp_path / name).write_bytes(b"text,label\n\na,b\n".replace(b",", b"," if name == "a.csv" else b"\t"))
    assert len(list(read(tmp_path / name))) == 1
    (tmp_path / name).write_bytes(b"text\n\nsch\xf6n\n\n\xc3\xa9\n")
    bad = SkippedRows()
    assert [record.fields["text"] for record in read(tmp_path / name, bad_rows=bad)] == ["", "", "é"]
    assert bad.count == 1


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_many_blank_lines_in_a_row_are_as_many_empty_cells(name, tmp_path):
    (tmp_path / name).write_bytes(b"text\n" + b"\n" * 20_000 + b"b\n")  # twenty times as deep as Python recurses
    assert sum(1 for _ in read(tmp_path / name)) == 20_001
