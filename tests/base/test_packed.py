"""Texts in fewer bytes."""

from __future__ import annotations

import pytest

from recurra.base.packed import pack, unpack


@pytest.mark.parametrize(
    "text", ["", "\0", "x\u0078\u0001", "\ud800 café 戦場", "a film " * 300, "日本語" * 100, "a" * 199]
)
def test_a_packed_text_comes_back_as_it_was(text: str) -> None:
    assert unpack(pack(text)) == text


def test_a_long_text_takes_less_than_its_letters() -> None:
    text = "One of the other reviewers has mentioned that after watching just one episode you will be hooked. " * 3
    assert len(pack(text)) < len(text) // 2
    assert len(pack("short")) == 6
