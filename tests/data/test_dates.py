"""The dates of CLDR: written as Babel writes them, read in every way they can be read, split by date and by text."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections import Counter, defaultdict
from datetime import date, timedelta

import pytest
from babel import localedata
from babel.dates import format_date, format_skeleton

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.embedded import EMBEDDED, locales
from recurra.data.embedded import date_forms as module
from recurra.data.embedded.date_forms import Form, forms, readings
from recurra.data.embedded.dates import ambiguous
from recurra.data.embedded.names import LANGUAGES

CODES = {language: code for code, language in LANGUAGES.items()}
LENGTHS = ("full", "long", "medium", "short")


@pytest.fixture(scope="module")
def dates() -> dict[str, list[Record]]:
    return {split: list(EMBEDDED["dates"].records(split)) for split in EMBEDDED["dates"].splits}


def form(language: str, name: str) -> Form:
    (found,) = (form for form in forms() if (form.language, form.name) == (language, name))
    return found


def days(*found: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(day) for day in found)


@pytest.mark.parametrize(
    ("language", "name", "text"),
    [
        ("German", "full", "Freitag, 4. März 2005"),
        ("English", "short", "3/4/05"),
        ("English", "yMMMEd", "Fri, Mar 4, 2005"),
        ("Spanish", "long", "4 de marzo de 2005"),
        ("Russian", "medium", "4 мар. 2005 г."),
        ("Bangla", "short", "৪/৩/০৫"),
        ("Persian", "short", "۲۰۰۵/۳/۴"),
        ("Arabic", "medium", "04/03/2005"),
        ("Arabic", "medium (arab)", "٠٤/٠٣/٢٠٠٥"),
        ("Thai", "long", "4 มีนาคม ค.ศ. 2005"),  # the year of the Gregorian calendar, not 2548
        ("Thai", "yMMMMd (thai)", "๔ มีนาคม ๒๐๐๕"),
        ("Korean", "short", "05. 3. 4."),
        ("Japanese", "full", "2005年3月4日金曜日"),
        ("Vietnamese", "yMEd", "Th 6, 4/3/2005"),
        ("Hungarian", "full", "2005. március 4., péntek"),
        ("Finnish", "full", "perjantai 4. maaliskuuta 2005"),  # a weekday that stands alone: cccc
        ("Swedish", "short", "2005-03-04"),
    ],
)
def test_forms_that_everybody_can_check(language, name, text):
    assert form(language, name).write(date(2005, 3, 4)) == text
    assert date(2005, 3, 4) in readings(text, language)


@pytest.fixture
def fresh_babel():
    """Babel with nothing loaded: what it loads without inheritance stays so for everybody, and formats badly."""
    localedata._cache.clear()
    yield
    localedata._cache.clear()


def test_every_form_writes_what_babel_writes(fresh_babel):
    typed = {0x200E: None, 0x200F: None, 0xA0: " ", 0x202F: " "}
    for number, one in enumerate(forms()):
        name, _, digits = one.name.partition(" (")
        for day in (date(1903, 1 + number % 12, 28), date(2095, 12 - number % 12, 5), date(2000, 5, 13)):
            if name in LENGTHS:
                expected = format_date(day, name, locale=CODES[one.language])
            else:
                expected = format_skeleton(name, day, locale=CODES[one.language])
            # Babel writes the digits of Europe; the test of the others is above.
            latin = "".join(str(unicodedata.decimal(c, c)) for c in one.write(day))
            assert latin == unicodedata.normalize("NFC", expected.translate(typed)), one
        assert digits or one.write(date(2000, 1, 1)).isascii() <= (one.language not in ("Bangla", "Persian"))


def test_no_two_forms_of_a_language_write_every_date_alike():
    some = [date(1907 + n, 1 + n % 12, 1 + n) for n in range(28)]
    written = Counter((one.language, *(one.write(day) for day in some)) for one in forms())
    assert max(written.values()) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3/4/05", days("1905-03-04", "1905-04-03", "2005-03-04", "2005-04-03")),  # English, and Spanish among others
        ("03/04/05", days("1905-04-03", "2005-04-03")),  # Italian; nobody writes the month first, with a 0 before it
        ("25/12/00", days("1900-12-25", "2000-12-25", "2100-12-25")),
        ("3/4/2005", days("2005-03-04", "2005-04-03")),
        ("Fri, 3/4/2005", days("2005-03-04")),  # 3 April 2005 was a Sunday
        ("3/3/2005", days("2005-03-03")),
        ("4. listopada 2005.", days("2005-10-04")),  # Croatian, with its dots
        ("4 listopada 2005", days("2005-11-04")),  # Polish
        ("29.02.1900", frozenset()),
        ("4 März 2005", frozenset()),
        ("Montag, 4. März 2005", frozenset()),  # it was a Friday
        ("4/3/٢٠٠٥", frozenset()),
        ("3/4/1899", frozenset()),
        ("4/5", frozenset()),
        ("", frozenset()),
        ("0/0/0", frozenset()),
        ("9" * 4000 + "/1/1", frozenset()),
    ],
)
def test_a_text_is_read_in_every_way_it_can_be_written(text, found):
    assert readings(text) == found


def test_with_its_language_a_text_has_fewer_readings():
    assert readings("3/4/05", "English") == days("1905-03-04", "2005-03-04")
    assert readings("3/4/05", "Spanish") == days("1905-04-03", "2005-04-03")
    assert readings("3/4/05", "Swedish") == frozenset()


def test_readings_are_all_that_writing_every_date_in_every_form_would_find():
    some = [date(y, m, 1) + timedelta(n) for y in (1903, 1905, 2003, 2005) for m in (3, 10) for n in range(45)]
    of_text: dict[str, set[date]] = defaultdict(set)
    for one in forms():
        for day in some:
            of_text[one.write(day)].add(day)
    texts = random.Random(0).sample(sorted(of_text), 4_000)
    assert any(len(of_text[text]) > 2 for text in texts)
    for text in texts:
        assert readings(text) & set(some) == of_text[text], text


def test_the_column_accepted_holds_every_reading_and_ambiguous_counts_them(dates):
    for split in ("dev", "test"):
        for record in dates[split]:
            accepted = record.fields["accepted"].split("|")
            assert accepted == sorted(day.isoformat() for day in readings(record.fields["text"]))
            assert record.fields["date"] in accepted
        assert ambiguous(split) == sum("|" in record.fields["accepted"] for record in dates[split])
    assert 200 < ambiguous("test") < 600


def test_each_language_has_as_many_rows_and_each_form_is_in_every_split(dates):
    known = {(one.language, one.name) for one in forms()}
    assert len({language for language, _ in known}) == 40
    for split, rows in {"train": 750, "dev": 50, "test": 100}.items():
        assert set(Counter(record.fields["language"] for record in dates[split]).values()) == {rows}
        assert {(record.fields["language"], record.fields["form"]) for record in dates[split]} == known


def test_no_date_and_no_text_is_in_two_splits(dates):
    for field in ("date", "text"):
        seen = {split: {record.fields[field] for record in records} for split, records in dates.items()}
        assert not seen["train"] & seen["dev"]
        assert not seen["train"] & seen["test"]
        assert not seen["dev"] & seen["test"]
    in_test = {record.fields["date"] for record in dates["test"]}
    assert not in_test & {day for record in dates["train"] for day in record.fields["accepted"].split("|")}


def test_no_row_appears_twice_and_dates_are_of_the_two_centuries(dates):
    rows = [tuple(record.fields.values()) for records in dates.values() for record in records]
    assert len(rows) == len(set(rows))
    years = Counter(int(row[1][:4]) // 10 * 10 for row in rows)
    assert set(years) == set(range(1900, 2101, 10))
    assert all(1_000 < years[decade] < 2_600 for decade in range(1900, 2100, 10))


def test_texts_are_as_people_type_them(dates):
    for record in dates["test"]:
        text = record.fields["text"]
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        # No invisible sign but the one that parts letters of a Persian word, which has a key.
        assert {c for c in text if unicodedata.category(c) in ("Cf", "Cc")} <= {"\u200c"}
        assert {c for c in text if c.isspace()} <= {" "}


def test_the_rows_are_the_same_every_time(dates):
    from recurra.data.embedded.dates import _rows

    assert [row.fields() for row in _rows.__wrapped__("dev")] == [record.fields for record in dates["dev"]]
    assert str(dates["dev"][0].origin) == "dates/dev:1"


def test_without_babel_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(ConfigError, match=r'dates needs the package babel\. .*pip install "recurra\[demo\]"'):
        module.forms.__wrapped__()


def test_what_others_loaded_through_babel_changes_no_form_and_the_other_way_round(fresh_babel):
    from babel import Locale

    before = [one.write(date(2005, 3, 4)) for one in forms()]
    module.forms.cache_clear()
    locales._reader.cache_clear()
    assert format_date(date(2005, 3, 4), "long", locale="fi") == "4. maaliskuuta 2005"
    assert all(Locale.parse(code).months["format"]["abbreviated"][3] for code in LANGUAGES)
    assert [one.write(date(2005, 3, 4)) for one in forms()] == before
    assert format_skeleton("yMEd", date(2005, 3, 4), locale="ar")
