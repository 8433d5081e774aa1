"""Words: runs of letters, marks and digits; every other character that is not a space is a token of its own."""

from __future__ import annotations

import re
import string
from itertools import groupby
from typing import ClassVar

import regex  # type: ignore[import-untyped]

from recurra.data.tokenizers.cleaned import CleanedTokenizer

# Possessive throughout (++, *+): no alternative is tried twice, so time is linear in the text.
# Set difference (--) needs version 1 of the regex syntax. White space is what str.split takes for it, which counts the
# separators 1C to 1F in.
_WORD = regex.compile(
    r"""
      \p{RI}\p{RI}                                      # a flag: two regional indicators
    | [\p{Han}\p{Hiragana}] \p{M}*+                     # scripts without spaces: one character is one token
    | [[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}]]++      # letters, combining marks, digits ...
      (?: ['\u2019\u200c\u200d]?+                       # ... joined by an apostrophe or a zero-width (non-)joiner
          [[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}]]++ )*+
    | [^\s\x1c-\x1f] [\p{M}\p{Emoji_Modifier}]*+        # anything else, with its marks or skin tone ...
      (?: \u200d [^\s\x1c-\x1f] [\p{M}\p{Emoji_Modifier}]*+ )*+  # ... and what a joiner ties to it (families)
    """,
    regex.V1 | regex.VERBOSE,
)


# The same of a text of ASCII, in which nothing is a mark, a joiner or an emoji: in a quarter of the time.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]+(?:'[A-Za-z0-9]+)*|\S")
_SIGNS = {sign: f" {sign} " for sign in string.punctuation if sign != "'"}


def split_words(text: str) -> list[str]:
    """Cut a text into words and single symbols; only white space is lost.

    Marks stay with their letter, apostrophes inside words ("don't", "l’été"); Thai and other scripts that write no
    spaces, Han and Hiragana aside, give one token per run: use characters or subwords for them.
    """
    if text.isascii():
        return _split_ascii(text)
    # No token crosses white space, so that one foreign letter does not slow a whole text down.
    words: list[str] = []
    for is_ascii, run in groupby(text.split(), str.isascii):
        some = " ".join(run)
        words += _split_ascii(some) if is_ascii else _WORD.findall(some)
    return words


def _split_ascii(text: str) -> list[str]:
    """The same of ASCII; without control characters by spaces around signs, in two thirds of the time."""
    text = text.replace("\n", " ")
    if not text.isprintable():
        return _ASCII_WORD.findall(text)
    for sign, apart in _SIGNS.items():
        if sign in text:
            text = text.replace(sign, apart)
    return (_apart(text) if "'" in text else text).split()


def _apart(text: str) -> str:
    """Spaces around apostrophes that do not stand between letters or digits."""
    before, *parts = text.split("'")
    found = [before]
    for part in parts:
        inside = before[-1:].isalnum() and part[:1].isalnum()
        found += ("'" if inside else " ' ", part)
        before = part
    return "".join(found)


class Words(CleanedTokenizer):
    """Words and symbols, from Unicode character classes; nothing to train."""

    name: ClassVar[str] = "words"

    def tokenize(self, text: str) -> list[str]:
        """Cut `text` into words and symbols."""
        return split_words(self._clean(text))
