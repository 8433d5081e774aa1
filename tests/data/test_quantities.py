"""The lists of CLDR: spans where they are said to be, on the edges of words, and no quantity in two splits."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from babel.numbers import format_decimal, parse_decimal

from recurra.base.contracts import Record
from recurra.base.errors import ConfigError
from recurra.data.embedded import EMBEDDED
from recurra.data.embedded import quantities as module
from recurra.data.embedded.date_forms import readings
from recurra.data.embedded.names import LANGUAGES
from recurra.data.splits import hash_split
from recurra.data.tokenizers import CUTTERS

CODES = {language: code for code, language in LANGUAGES.items()}
KINDS = {"date", "time", "number", "percent", "money", "measure"}


@pytest.fixture(scope="module", autouse=True)
def fewer() -> Iterator[None]:
    """A fifth of the rows, made alike: the first of each language."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", {"train": 25, "dev": 10, "test": 10})
        module._rows.cache_clear()
        yield
    module._rows.cache_clear()


@pytest.fixture(scope="module")
def rows(fewer: None) -> dict[str, list[Record]]:
    return {split: list(EMBEDDED["quantities"].records(split)) for split in EMBEDDED["quantities"].splits}


def spans(record: Record) -> list[tuple[str, str]]:
    """The label and the text of each span."""
    found = json.loads(record.fields["spans"])
    return [(one["label"], record.fields["text"][one["start"] : one["end"]]) for one in found]


def test_every_language_is_in_every_split_with_every_kind(rows: dict[str, list[Record]]) -> None:
    for split, records in rows.items():
        counts = Counter(record.fields["language"] for record in records)
        assert len(counts) == 40
        assert set(counts.values()) == {EMBEDDED["quantities"].size(split) // 40}
        assert {label for record in records for label, _ in spans(record)} == KINDS
        texts = [(record.fields["language"], record.fields["text"]) for record in records]
        assert len(set(texts)) == len(texts)


def test_no_quantity_is_in_two_splits(rows: dict[str, list[Record]]) -> None:
    for split, records in rows.items():
        for record in records:
            assert all(hash_split(text) == split for _, text in spans(record))


def test_spans_are_what_they_are_called(rows: dict[str, list[Record]]) -> None:
    """Read back: dates by every form there is, numbers by Babel's own reader, times by their digits."""
    for record in rows["dev"]:
        language = record.fields["language"]
        system = {"locale": CODES[language], "numbering_system": "default"}
        for label, text in spans(record):
            if label == "date":
                assert readings(text, language)
            elif label == "number":
                again = format_decimal(parse_decimal(text.replace(" ", "\u00a0"), **system), **system)
                assert again.translate(module._TYPED) == text
            elif label == "time" and language in ("German", "French"):
                hour, minute = map(int, text.split(":"))
                assert text == f"{hour:02}:{minute:02}"
                assert hour < 24
                assert minute < 60
            elif label == "percent":
                assert re.search("[%٪]", text)


def test_no_word_lies_half_in_a_span_and_no_name_holds_a_digit(rows: dict[str, list[Record]]) -> None:
    for record in rows["dev"]:
        text = record.fields["text"]
        edges = {one[key] for one in json.loads(record.fields["spans"]) for key in ("start", "end")}
        assert not any(start < edge < end for start, end in CUTTERS["words"](text) for edge in edges)
        outside = text
        for _, said in spans(record):
            outside = outside.replace(said, "", 1)
        assert not any(c.isdigit() for c in outside), text


def test_rows_that_everybody_can_check_are_there(rows: dict[str, list[Record]]) -> None:
    german = [record for record in rows["train"] if record.fields["language"] == "German"]
    found = {label: text for record in german for label, text in spans(record)}
    assert re.fullmatch(r"[\d.]+(,\d+)?", found["number"])
    assert re.fullmatch(r"[\d.]+(,\d+)? %", found["percent"])
    assert re.fullmatch(r"\d\d:\d\d", found["time"])
    assert any(" und " in record.fields["text"] for record in german)


def test_without_babel_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(ConfigError, match=r'quantities needs the package babel\. .*pip install "recurra\[demo\]"'):
        module._rows.__wrapped__("test")
