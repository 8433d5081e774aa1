"""Words of any script, for scores and baselines that count them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import regex  # type: ignore[import-untyped]

# Scripts that write no spaces between words, and the mark that lengthens a vowel of Kana.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_RUN = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]++"
# Possessive (++), so time is linear in the text. Joiners inside a word are part of it.
_WORD = regex.compile(rf"[{_UNSPACED}]\p{{M}}*+ | {_RUN} (?: [\u200c\u200d]++ {_RUN} )*+", regex.V1 | regex.VERBOSE)
_ASCII = re.compile(r"\w+", re.ASCII)
_LETTER_UNSPACED = regex.compile(rf"[[{_UNSPACED}]&&\p{{L}}]", regex.V1)
_LETTER = regex.compile(r"\p{L}")


def words_of(text: str) -> list[str]:
    """Runs of letters, marks and digits; of scripts without spaces each letter, with its marks."""
    if text.isascii():  # three times as fast
        return _ASCII.findall(text)
    found: list[str] = _WORD.findall(text)
    return found


def letters_of(text: str) -> str:
    """The letters of a text."""
    return "".join(_LETTER.findall(text))


def unspaced_letters(texts: Iterable[str]) -> int:
    """How many letters are of scripts without spaces."""
    return sum(len(_LETTER_UNSPACED.findall(text)) for text in texts)
