"""CSV as spreadsheets write it: separators, encodings, and quotes in files of tabs. What is found is said."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from data.formats.formats_room import ROWS, Notes, fields, from_init, same_as_jsonl
from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, read, recognised
from recurra.data.formats.encodings import guessed


def table(separator: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["text", "label"], delimiter=separator, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue()


@pytest.mark.parametrize(
    ("separator", "encoding", "said"),
    [
        (";", "windows-1252", ["a semicolon ends a cell", "read as windows-1252"]),
        ("|", "utf-8-sig", ["a bar ends a cell"]),
        ("\t", "utf-16", ["a tab ends a cell", "read as UTF-16, as its first bytes say"]),
        (",", "windows-1252", ["read as windows-1252"]),
        (";", "utf-16-be", []),
    ],
)
def test_a_table_of_excel_is_learned_from_as_the_same_rows_in_json(
    separator: str, encoding: str, said: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "sheet.csv"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + table(separator)).encode(encoding))
    notes = same_as_jsonl("classification", path, ROWS, tmp_path)
    for sentence in said:
        assert notes.text.count(f"{path}: {sentence}") == 2, "by init and by check"
        assert f"{path}: {sentence}" in " ".join((tmp_path / "c.yaml").read_text().replace("\n# ", " ").split())


def test_a_delimiter_and_an_encoding_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,b;c\nж,1;2\n".encode("windows-1251"))
    assert fields(path, delimiter=";", encoding="windows-1251") == [{"a,b": "ж,1", "c": "2"}]
    assert fields(path, delimiter="semicolon", encoding="cp1251") == [{"a,b": "ж,1", "c": "2"}]
    path.write_text("a\tb,c\n1,5\t2\n")
    assert fields(path, delimiter="tab") == fields(path, delimiter=r"\t") == [{"a": "1,5", "b,c": "2"}]
    path.write_text("sep=;\na;b\n1;2\n")
    assert fields(path, delimiter=";") == [{"a": "1", "b": "2"}]


def test_a_config_chooses_them_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(table("^").encode("utf-16-le"))
    text = "data: {train: %s, format: csv, delimiter: '^', encoding: utf-16-le}\n"
    (tmp_path / "c.yaml").write_text(text % path)
    from recurra import api

    assert api.check(tmp_path / "c.yaml").facts["train rows"] > 10


@pytest.mark.parametrize(
    ("name", "option", "named"),
    [
        (
            "a.jsonl",
            {"delimiter": ";"},
            "delimiter: has no effect on format 'jsonl', only on csv and captions. Remove it.",
        ),
        ("a.tsv", {"delimiter": ";"}, "delimiter: has no effect on format 'tsv', only on csv and captions. Remove it."),
        ("a.json", {"columns": ["a"]}, "columns: has no effect on format 'json', only on csv, tsv"),
        ("a.txt", {"columns": {"a": "b"}}, "columns: a map of names has no effect on format 'text', only on csv, tsv"),
        ("a.csv", {"delimiter": ";;"}, "delimiter: expected one sign, or one of tab"),
        ("a.csv", {"delimiter": '"'}, "delimiter: expected one sign"),
        ("a.csv", {"encoding": "utf-9"}, "encoding: unknown encoding 'utf-9'; expected one of utf-8"),
        ("a.csv", {"encoding": "zip"}, "encoding: unknown encoding 'zip'"),
        ("a.csv", {"encoding": "unicode_escape"}, "encoding: unknown encoding 'unicode_escape'"),
    ],
)
def test_an_option_without_effect_or_meaning_is_refused_by_name(
    name: str, option: dict[str, object], named: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(ConfigError) as refused:
        list(read(tmp_path / name, **option))  # type: ignore[arg-type]
    assert named in str(refused.value)


def test_a_config_that_names_them_wrongly_is_led_to_the_line(tmp_path: Path) -> None:
    from recurra import api

    (tmp_path / "c.yaml").write_text("data:\n  train: a.csv\n  encoding: latin-15\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:3: data\.encoding: unknown encoding 'latin-15'"):
        api.check(tmp_path / "c.yaml")


def test_what_is_neither_utf_8_nor_surely_windows_1252_is_not_guessed(tmp_path: Path) -> None:
    assert guessed("Müller und Söhne, Straße".encode("windows-1252")) == "windows-1252"
    assert guessed("naïve – “quoted”, 5 € each".encode("windows-1252")) == "windows-1252"
    assert not guessed("Müller".encode()), "UTF-8"
    assert not guessed("Привет, мир".encode("windows-1251")), "mostly letters that are not ASCII"
    assert not guessed("日本語 text".encode("shift_jis"))
    assert not guessed("Müller ".encode() + b"M\xfcller"), "UTF-8 that is damaged"
    assert not guessed(b"caf\xe9 \x00 binary data here"), "no text"
    assert not guessed(b"M\x81ller und Soehne"), "a byte that Windows-1252 has not"
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nПривет,x\n".encode("windows-1251"))
    with pytest.raises(
        DataError, match=r"a\.csv:2: byte 1 of the line, 0xCF, is not UTF-8\. Set data\.encoding to what"
    ):
        fields(path)
    assert fields(path, encoding="windows-1251")[0]["text"] == "Привет"


def test_a_letter_that_ends_behind_the_bytes_that_are_looked_at_is_utf_8() -> None:
    assert not guessed("Müller".encode()[:2])


def test_bytes_that_an_encoding_has_not_lose_their_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\nab\x81c,x\ncaf\xe9,y\n")
    bad = SkippedRows()
    rows = [dict(record.fields) for record in read(path, encoding="windows-1252", bad_rows=bad)]
    assert rows == [{"text": "café", "label": "y"}]
    assert bad.examples == (f"{path}:2: character 3 of the line is no cp1252, as which it is read.",)


def test_gzip_and_line_numbers_are_those_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress('a;b\r\n1;"x\r\ny"\r\n2\r\n'.encode("utf-16")))
    with pytest.raises(DataError, match=r"a\.csv\.gz:4: expected 2 cells \(a, b\), got 1: '2'"):
        fields(path)


# -- tabs --------------------------------------------------------------------------------------------------------------

# As pandas 3 writes it with to_csv(sep="\t", index=False).
PANDAS = 'text\tlabel\n"say ""hi"""\tx\nplain\ty\n"two\nlines"\tx\n"a\ttab"\ty\n'


def test_quotes_of_pandas_in_a_file_of_tabs_are_quotes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(PANDAS)
    assert recognised(path) == ("csv", "quotes stand around cells of it that need them")
    assert [row["text"] for row in fields(path)] == ['say "hi"', "plain", "two\nlines", "a\ttab"]
    assert fields(path, format="tsv", bad_rows=SkippedRows())[0]["text"] == '"say ""hi"""', "where it is asked for"
    path.write_bytes(gzip.compress(PANDAS.encode()))
    gz = path.rename(tmp_path / "a.tsv.gz")
    assert len(fields(gz)) == 4


@pytest.mark.parametrize(
    "text",
    [
        'a\tb\n"so" he said\tx\n',  # GLUE: a quote that begins a text
        'a\tb\nOk "lar"\tx\n',  # the SMS Spam Collection
        'a\tb\n"whole"\tx\n',  # a quoted text, which needs no quotes
        'a\tb\n"say ""hi"""\tx\n5" wide\ty\n',  # not all are doubled
        'a\tb\n"open\tx\nplain\ty\n',
        'a\tb\n"x ""y"""\tz\tmore\n',  # another number of cells
    ],
)
def test_a_quote_is_a_sign_like_any_other_where_one_is_not_as_csv_has_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(text)
    assert recognised(path) == ("tsv", "")


def test_a_tab_ends_the_cells_of_a_quoted_file_whose_header_has_commas(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('a, b\tc\n"x ""y"""\tz\n')
    assert fields(path) == [{"a, b": 'x "y"', "c": "z"}]


def test_init_says_what_it_took_and_check_says_it_again(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "".join(f'"say ""hi"" to {n}"\t{"xy"[n % 2]}\n' for n in range(30)))
    _, notes = from_init("classification", path, tmp_path / "c.yaml")
    assert notes.text.count(f"{path}: read as csv, as quotes stand around cells of it that need them.") == 2
    assert isinstance(notes, Notes)
