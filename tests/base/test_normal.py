"""Two spellings of one thing are one thing: the normal form of texts, and of the names that people give."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recurra.base.normal import name_of, normal, spellings

CAFE, CAFE_APART = "café", "cafe\u0301"
# Persian: ye, zero-width non-joiner, khe: the letters stand apart, and the word is another one without it.
PERSIAN = "می\u200cخواهم"
# Devanagari: ka, virama, zero-width joiner: a half form.
HINDI = "क\u094d\u200dष"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def test_letters_with_their_marks_apart_become_one_letter() -> None:
    assert (normal(CAFE_APART), name_of(CAFE_APART)) == (CAFE, CAFE)


def test_compatible_characters_stay_as_they_are() -> None:
    assert normal("ﬁ ２ ²") == name_of("ﬁ ２ ²") == "ﬁ ２ ²"  # NFKC would write fi 2 2


@given(TEXTS)
def test_a_text_in_normal_form_is_its_own_normal_form(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert normal(text) == unicodedata.normalize("NFC", text)


@given(st.text(st.sampled_from("a\u0301\u0344\u0315\u034f\u0f73\u200d"), max_size=200))
def test_so_is_one_with_many_marks_in_a_row(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_a_hundred_thousand_marks_in_a_row_take_no_quadratic_time() -> None:
    begin = time.process_time()
    normal("a" + "\u0315\u0301" * 50_000)
    assert time.process_time() - begin < 5  # normalised as they are, they take a minute


@pytest.mark.parametrize("sign", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\u202a", "\u200c", "\u200d"])
def test_what_nobody_sees_is_no_part_of_a_name(sign: str) -> None:
    assert {name_of(text) for text in (f"{sign}spam", f"sp{sign}am", f"spam{sign}", f" {sign} spam {sign} ")} == {
        "spam"
    }


@pytest.mark.parametrize("name", [PERSIAN, HINDI, FAMILY])
def test_a_joiner_that_changes_what_is_seen_is_part_of_a_name(name: str) -> None:
    assert name_of(name) == name


@pytest.mark.parametrize("name", [PERSIAN, HINDI, FAMILY])
def test_a_joiner_at_an_end_of_a_name_changes_nothing_that_is_seen(name: str) -> None:
    assert name_of(f"\u200c{name}\u200d") == name


@given(TEXTS | st.text(st.sampled_from("ae\u0301\u200c\u200d\u200b می\u094dकष\U0001f468\ufe0f"), max_size=12))
@example("\u0300\u200b\u094d\u200cA")  # without the space, the sign before the joiner is another one
def test_a_name_is_its_own_name(text: str) -> None:
    assert name_of(name_of(text)) == name_of(text)


def test_texts_keep_what_nobody_sees() -> None:
    assert normal("sp\u00adam \u200b") == "sp\u00adam \u200b"


def test_merged_spellings_are_counted_and_shown() -> None:
    assert spellings([CAFE, "spam", CAFE_APART, "\u200bspam", CAFE, " spam "]) == (
        "2 labels are written in several ways that look alike, and each was read as one: "
        "'caf\\xe9' is also 'cafe\\u0301'; 'spam' is also '\\u200bspam'."
    )
    assert spellings([CAFE, "spam", "spam "]) == ""
