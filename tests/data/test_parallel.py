"""Parallel files: line n of one belongs to line n of the other, and a file that is too short is named with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from recurra.base.errors import ConfigError, DataError
from recurra.data.formats import SkippedRows, read, resolved_format


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("t.de").write_text("eins\n\ndrei, vier\n", encoding="utf-8")
    Path("t.en").write_bytes("one\r\ntwo\r\nthree, \u2028four".encode())
    return Path("t.{de,en}")


def test_line_n_of_each_file_is_one_record_and_blank_lines_count(pair: Path) -> None:
    records = list(read(pair, fields=("en", "de")))
    assert [dict(record.fields) for record in records] == [
        {"de": "eins", "en": "one"},
        {"de": "", "en": "two"},
        {"de": "drei, vier", "en": "three, \u2028four"},
    ]
    assert [str(record.origin) for record in records] == ["t.{de,en}:1", "t.{de,en}:2", "t.{de,en}:3"]


def test_braces_may_stand_anywhere_and_one_file_is_enough(pair: Path) -> None:
    Path("de").mkdir()
    Path("de/all.gz").write_bytes(gzip.compress(b"a\nb\n"))
    assert [record.fields for record in read("{de}/all.gz")] == [{"de": "a"}, {"de": "b"}]
    assert resolved_format("{de}/all.gz") == "parallel"


def test_a_file_that_is_really_called_so_is_a_file(pair: Path) -> None:
    Path("x{a,b}.csv").write_text("k\nv\n")
    assert resolved_format("x{a,b}.csv") == "csv"
    assert [record.fields for record in read("x{a,b}.csv")] == [{"k": "v"}]


@pytest.mark.parametrize(("short", "long"), [("de", "en"), ("en", "de")])
def test_files_of_different_lengths_are_refused_with_both_counts_and_the_missing_line(
    short: str, long: str, pair: Path
) -> None:
    Path(f"t.{long}").write_text("a\nb\nc\nd\ne\n")
    Path(f"t.{short}").write_text("a\nb\nc\n")
    counts = {"de": 3 if short == "de" else 5, "en": 3 if short == "en" else 5}
    sentence = f"t.{short}:4: is missing: t.de has {counts['de']} lines, t.en has {counts['en']} lines; expected"
    for bad_rows in (None, SkippedRows()):
        seen = []
        with pytest.raises(DataError) as caught:
            seen += list(read(pair, bad_rows=bad_rows))
        assert str(caught.value).startswith(sentence)


def test_a_line_that_cannot_be_read_takes_its_partner_with_it(pair: Path) -> None:
    Path("t.en").write_bytes(b"one\nt\xffo\nthree\n")
    with pytest.raises(DataError, match=r"^t\.en:2: byte 2 of the line, 0xFF, is not UTF-8"):
        list(read(pair))
    skipped = SkippedRows()
    assert [dict(record.fields) for record in read(pair, bad_rows=skipped)] == [
        {"de": "eins", "en": "one"},
        {"de": "drei, vier", "en": "three"},
    ]
    assert skipped.count == 1


@pytest.mark.parametrize("name", ["t.{}", "t.{de,de}", "t.{de,}", "{t,u}.{de,en}"])
def test_braces_that_name_no_files_are_refused(name: str, pair: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected different names in one pair of braces, such as train\.\{de,en\}"):
        list(read(name))


def test_other_mistakes_are_those_of_every_format(pair: Path) -> None:
    with pytest.raises(DataError, match=r"^t\.fr: no such file"):
        list(read("t.{de,fr}"))
    with pytest.raises(DataError, match=r"no column 'fr'\. Columns: de, en"):
        list(read(pair, fields=("fr",)))
    with pytest.raises(ConfigError, match="columns: has no effect on format 'parallel'"):
        read(pair, columns=("a", "b"))
    Path("t.de").write_text("")
    Path("t.en").write_text("")
    with pytest.raises(DataError, match=r"t\.\{de,en\}: is empty"):
        list(read(pair))
