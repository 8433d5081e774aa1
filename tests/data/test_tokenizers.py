"""Words and characters: cut where a reader would, lose nothing, in time proportional to the text."""

from __future__ import annotations

import json
import random
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.base.errors import ConfigError, RunError
from recurra.base.normal import stream_safe
from recurra.data.tokenizers import TOKENIZERS, tokenizer_from_json
from recurra.data.tokenizers.blocks import Places, numbered
from recurra.data.tokenizers.characters import Characters
from recurra.data.tokenizers.words import _WORD, Words, split_words

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't go, now!", ["Don't", "go", ",", "now", "!"]),
        ("'quoted' l’été rock'n'roll", ["'", "quoted", "'", "l’été", "rock'n'roll"]),
        ("e\u0301te\u0301 naïve", ["e\u0301te\u0301", "naïve"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("日本語のテスト", ["日", "本", "語", "の", "テスト"]),
        ("snake_case 3.14", ["snake", "_", "case", "3", ".", "14"]),
        ("👨\u200d👩\u200d👧 👍🏽🇩🇪🇫🇷 ❤\ufe0f", ["👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷", "❤\ufe0f"]),
        ("...", [".", ".", "."]),
        (" \t\n\u3000", []),
    ],
)
def test_words_are_cut_where_a_reader_would_cut(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_words_keep_every_character_that_is_not_a_space(text: str) -> None:
    assert "".join(split_words(text)) == "".join(text.split())


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_characters_joined_are_the_text(text: str) -> None:
    assert "".join(Characters(normalization="none").tokenize(text)) == text
    assert "".join(Characters().tokenize(text)) == unicodedata.normalize("NFC", text)


def test_a_character_is_what_a_reader_sees() -> None:
    tokens = Characters(normalization="none").tokenize("e\u0301 ка👩‍🚀🇩🇪🇫🇷🇮한\r\n")
    assert tokens == ["e\u0301", " ", "к", "а", "👩‍🚀", "🇩🇪", "🇫🇷", "🇮", "한", "\r\n"]


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "e\u0301 ﬁ A", ["é", "ﬁ", "A"]),
        ({"normalization": "nfkc"}, "ﬁ Ａ", ["fi", "A"]),
        ({"normalization": "none"}, "e\u0301", ["e\u0301"]),
        ({"lowercase": True}, "ÉTÉ ΣΑΣ", ["été", "σας"]),
        ({"lowercase": True}, "İ", ["i\u0307"]),
        ({"lowercase": True, "normalization": "nfkc"}, "Ａ", ["a"]),
    ],
)
def test_cleaning_comes_before_cutting(options: dict[str, object], text: str, expected: list[str]) -> None:
    assert Words(**options).tokenize(text) == expected  # type: ignore[arg-type]


def test_an_unknown_normal_form_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"normalization: expected one of nfc, nfkc, none, got 'nfd'"):
        Words(normalization="nfd")  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(text=TEXT)
def test_a_text_without_thirty_marks_in_a_row_is_stream_safe_already(text: str) -> None:
    assert stream_safe(text) == text


def test_marks_beyond_thirty_in_a_row_are_kept_apart() -> None:
    assert stream_safe("a" + "\u0301" * 61) == "a" + ("\u0301" * 30 + "\u034f") * 2 + "\u0301"


ADVERSARIAL = {
    "one letter": "a",
    "spaces": " ",
    "letters and spaces": "a ",
    "apostrophes": "'",
    "letters and apostrophes": "a'",
    "marks of two classes": "\u0301\u0323",
    "halfwidth marks": "\u0301\uff9e",
    "joiners": "\u200d",
    "emoji and joiners": "👨\u200d",
    "regional indicators": "🇦",
    "Hangul parts": "\u1100\u1161",
    "Indic conjuncts": "क\u094d",
    "prepended signs": "\u0600",
}


@pytest.mark.parametrize("name", ["words", "characters"])
@pytest.mark.parametrize("pattern", ADVERSARIAL)
def test_time_is_proportional_to_the_text(name: str, pattern: str) -> None:
    """The quadratic forms of these took seconds to minutes; a generous limit keeps a busy machine from failing."""
    text = (ADVERSARIAL[pattern] * 40_000)[:40_000]
    start = time.process_time()
    TOKENIZERS[name](normalization="nfkc").train([]).tokenize(text)  # type: ignore[call-arg]
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("name", ["words", "characters"])
@pytest.mark.parametrize("options", [{}, {"lowercase": True, "normalization": "none"}])
def test_a_tokenizer_comes_back_from_json_as_it_was(name: str, options: dict[str, object]) -> None:
    tokenizer = TOKENIZERS[name](**options).train(["never read"])
    again = tokenizer_from_json(json.loads(json.dumps(tokenizer.to_json())))
    text = "Ein Cafe\u0301, ICH"
    assert again.tokenize(text) == tokenizer.tokenize(text)
    assert again.to_json() == tokenizer.to_json()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected an object with a name"),
        ({"name": 3}, "expected an object with a name"),
        ({"name": "wrods"}, "unknown tokenizer 'wrods'. Did you mean 'words'?"),
        ({"name": "words"}, "expected the keys lowercase, normalization, got"),
        ({"name": "words", "lowercase": "no", "normalization": "nfc"}, "lowercase: expected true or false, got 'no'"),
        ({"name": "characters", "lowercase": True, "normalization": []}, "normalization: expected one of"),
    ],
)
def test_what_no_tokenizer_wrote_is_refused(data: object, message: str) -> None:
    with pytest.raises(RunError, match=r"^tokenizer: .*") as refusal:
        tokenizer_from_json(data)
    assert message in str(refusal.value)


ASCII = st.text(st.characters(max_codepoint=127) | st.sampled_from("ab'09 _\x1c\x1f"))


@given(ASCII)
def test_a_text_of_ascii_has_the_words_that_it_has_beside_other_letters(text: str) -> None:
    assert split_words(text) == split_words(f"{text} é")[:-1]  # the second one is not cut by the short way


def test_a_text_of_ascii_is_cut_as_its_pattern_says_whatever_stands_in_it() -> None:
    draw = random.Random(0)
    signs = [chr(code) for code in range(128)]
    for number in range(3_000):
        pool = signs if number % 3 == 0 else "ab1'' .,-\n_!\""
        text = "".join(draw.choice(pool) for _ in range(draw.randint(0, 12)))
        # The pattern that _WORD is for ASCII: runs of letters and digits, with apostrophes inside; other signs alone.
        assert split_words(text) == re.findall(r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+)*|\S", text), repr(text)


def test_a_text_of_several_scripts_is_cut_as_its_pattern_says_whatever_stands_in_it() -> None:
    draw = random.Random(1)
    signs = "ab1'  .-\n\x1c\x85\u00a0\u2003é\u0301\u200d\u2019\u200c中の😀👍🏽🇩🇪ก\u00ad"
    for _ in range(3_000):
        text = "".join(draw.choice(signs) for _ in range(draw.randint(0, 12)))
        assert split_words(text) == _WORD.findall(text), repr(text)


def test_tokens_are_numbered_in_the_order_in_which_they_are_first_seen() -> None:
    places = Places()
    assert numbered(places, ["b", "a", "b", "c", "a"]).tolist() == [0, 1, 0, 2, 1]
    assert numbered(places, ["d", "a", "e", "d"]).tolist() == [3, 1, 4, 3]
    assert numbered(places, []).tolist() == []
    assert places == {"b": 0, "a": 1, "c": 2, "d": 3, "e": 4}
