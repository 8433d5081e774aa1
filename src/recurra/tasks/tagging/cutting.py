"""A raw text to tokens that know where they stand in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import regex  # type: ignore[import-untyped]

Place = tuple[int, int]
CutterName = Literal["words", "spaces", "characters"]

# Unlike the tokenizer `words`, apostrophes stand apart: in "Miller's" the name is "Miller". Scripts that write no
# spaces between words, Han and Hiragana, give a token a character. Possessive (++), so time is linear in the text.
_WORD = regex.compile(
    r"""
      [\p{Han}\p{Hiragana}] \p{M}*+
    | [[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}]]++
    | [^\s\x1c-\x1f] [\p{M}\p{Emoji_Modifier}]*+
    """,
    regex.V1 | regex.VERBOSE,
)
_NO_SPACE = regex.compile(r"[^\s\x1c-\x1f]++", regex.V1)
_GRAPHEME = regex.compile(r"\X", regex.V1)


def words(text: str) -> list[Place]:
    """Runs of letters, marks and digits; every other character that is no white space by itself."""
    return [found.span() for found in _WORD.finditer(text)]


def spaces(text: str) -> list[Place]:
    """What stands between white space."""
    return [found.span() for found in _NO_SPACE.finditer(text)]


def characters(text: str) -> list[Place]:
    """Grapheme clusters, white space left out."""
    return [found.span() for found in _GRAPHEME.finditer(text) if found[0].strip()]


CUTTERS: Mapping[CutterName, Callable[[str], list[Place]]] = {
    "words": words,
    "spaces": spaces,
    "characters": characters,
}
