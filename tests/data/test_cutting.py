"""Texts cut into tokens that know their place: nothing but white space is lost, in any script."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data.tokenizers import CUTTERS


@pytest.mark.parametrize("name", CUTTERS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_places_stand_in_order_and_hold_everything_but_white_space(name, text):
    places = CUTTERS[name](text)
    assert all(start < end for start, end in places)
    assert all(one[1] <= other[0] for one, other in pairwise(places))
    assert "".join("".join(text[start:end].split()) for start, end in places) == "".join(text.split())


def test_a_line_of_a_million_letters_is_cut_in_a_moment():
    assert len(CUTTERS["words"]("a" * 1_000_000)) == 1
    assert len(CUTTERS["words"]("a1" * 100_000)) == 200_000


def test_a_line_of_flags_is_cut_in_a_moment():
    """A matcher that goes back to the first of them at each one needs a minute for these."""
    assert CUTTERS["characters"]("\U0001f1e6" * 150_001)[-2:] == [(149_998, 150_000), (150_000, 150_001)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("U.S.A.'s 20mg", ["U", ".", "S", ".", "A", ".", "'", "s", "20", "mg"]),
        ("2005年3月", ["2005", "年", "3", "月"]),
        ("अंग्रेज़ी ٤٢", ["अंग्रेज़ी", "٤٢"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("👩🏽‍🦰!", None),
    ],
)
def test_words_that_everybody_can_check(text, tokens):
    found = [text[start:end] for start, end in CUTTERS["words"](text)]
    assert found == tokens if tokens is not None else found[-1] == "!"
