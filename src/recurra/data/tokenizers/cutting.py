"""A raw text to tokens that know where they stand in it, for answers that point into the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import regex  # type: ignore[import-untyped]

from recurra.data.tokenizers.characters import CHARACTER

Place = tuple[int, int]
CutterName = Literal["words", "spaces", "characters"]

# Finer than the tokenizer `words`, so that a span seldom begins or ends inside a token: apostrophes stand apart
# ("Miller's" holds the name Miller), digits stand apart from letters (20mg), and the scripts that write no spaces
# between words give a token a character. Possessive (++), so time is linear in the text.
_WORD = regex.compile(
    r"""
      [\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}] \p{M}*+
    | [\p{N}\p{M}]++
    | [[\p{L}\p{M}]--[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]++
    | [^\s\x1c-\x1f] [\p{M}\p{Emoji_Modifier}]*+
    """,
    regex.V1 | regex.VERBOSE,
)
_NO_SPACE = regex.compile(r"[^\s\x1c-\x1f]++", regex.V1)


def words(text: str) -> list[Place]:
    """Runs of letters, runs of digits, each with their marks; every other character that is no white space."""
    return [found.span() for found in _WORD.finditer(text)]


def spaces(text: str) -> list[Place]:
    """What stands between white space."""
    return [found.span() for found in _NO_SPACE.finditer(text)]


def characters(text: str) -> list[Place]:
    """Grapheme clusters, white space left out."""
    return [found.span() for found in CHARACTER.finditer(text) if found[0].strip()]


CUTTERS: Mapping[CutterName, Callable[[str], list[Place]]] = {
    "words": words,
    "spaces": spaces,
    "characters": characters,
}
