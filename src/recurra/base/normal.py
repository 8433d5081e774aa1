"""One spelling of a text: Unicode says in several ways what a reader sees as one, and a computer must not tell apart.

`normal` is for texts, `name_of` for labels, tags and the names of columns. Whatever is compared passes through one of
them, on both sides; what a user's file says beside it is written out as it was.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any, Literal

Form = Literal["NFC", "NFKC"]

# Marks in a row that are normalised together: in n of them it takes time proportional to n squared.
# Source: Unicode Standard Annex #15, section 13, "Stream-Safe Text Format".
MARKS = 30
_GRAPHEME_JOINER = "\u034f"
_SHOWN = 3
# The longest name that is remembered, in characters: who names a column of texts as the label's must not fill memory.
_REMEMBERED = 64
# Times that a name is looked at until it stays as it is: what is taken out may change the order of marks. Two do for
# any text that somebody wrote.
_PASSES = 8


def normal(text: str, form: Form = "NFC") -> str:
    """A text in normal form: letter and mark as one character, where there is one. Done twice, it changes nothing."""
    if text.isascii():
        return text
    if len(text) <= MARKS or not _patterns().long.search(text):
        return unicodedata.normalize(form, text)
    # Apart, marks are more than together: what is safe before may be too long after, so it is made safe again.
    apart: Literal["NFD", "NFKD"] = "NFD" if form == "NFC" else "NFKD"
    return unicodedata.normalize(form, stream_safe(unicodedata.normalize(apart, stream_safe(text))))


def stream_safe(text: str) -> str:
    """Put a grapheme joiner after each 30 combining marks in a row; any other text is returned as it is.

    Without it, normalising n marks in a row takes time proportional to n squared (8,000 marks: 44 ms).
    """
    return str(_patterns().long.sub(rf"\1{_GRAPHEME_JOINER}", text))


def name_of(text: str) -> str:
    """A label, a tag or the name of a column as it is compared: in normal form, without white space around it and
    without what nobody sees: zero-width spaces, byte order marks, soft hyphens, marks of direction, and joiners that
    join or part nothing."""
    if text.isascii():
        return text.strip()
    return _name_of(text) if len(text) <= _REMEMBERED else _name_of.__wrapped__(text)


@lru_cache(maxsize=4096)
def _name_of(text: str) -> str:
    for _ in range(_PASSES):
        found = _seen(text)
        if found == text:
            break
        text = found  # once more: a mark may now stand beside its letter, or before a joiner
    return text


def _seen(text: str) -> str:
    patterns = _patterns()
    seen = patterns.joiners.sub(r"\1\2\3", patterns.unseen.sub("", normal(text)))
    return normal(str(seen)).strip()


def parts_of(text: str, separator: str) -> list[str]:
    """What stands between separators, whichever way both are spelt."""
    return text.split(separator) if separator.isascii() else normal(text).split(normal(separator))


def spellings(names: Iterable[str]) -> str:
    """A sentence on labels that were read as one though they are spelt in several ways; "" if there are none."""
    found: dict[str, dict[str, None]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(name_of(name), {})[name.strip()] = None
    merged = {name: [one for one in spelt if one != name] for name, spelt in found.items() if len(spelt) > 1}
    if not merged:
        return ""
    shown = "; ".join(f"{name!a} is also {', '.join(map(ascii, spelt))}" for name, spelt in [*merged.items()][:_SHOWN])
    what = "1 label is" if len(merged) == 1 else f"{len(merged):,} labels are"
    return (
        f"{what} written in several ways that look alike, and each was read as one: {shown}"
        f"{'; ...' if len(merged) > _SHOWN else ''}."
    )


class _Patterns:
    """Compiled once, when the first text comes that is not ASCII: the package regex takes 20 ms to import."""

    def __init__(self) -> None:
        import regex  # type: ignore[import-untyped]

        # U+FF9E and U+FF9F are letters that turn into combining marks under NFKC. A grapheme joiner ends a run.
        mark = r"[[\p{M}\uFF9E\uFF9F]--[\u034f]]"
        self.long: Any = regex.compile(rf"({mark}{{{MARKS}}})(?={mark})", regex.V1)
        self.unseen: Any = regex.compile(
            r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]+", regex.V1
        )
        # Joiners that change what is seen are kept, one of them (group 1): behind a virama; a non-joiner between
        # letters that would join (RFC 5892, appendices A.1 and A.2); a joiner between emoji (UTS #51, section 2.2).
        self.joiners: Any = regex.compile(
            r"""
              (?<=\p{ccc=9}) ([\u200c\u200d]) [\u200c\u200d]*+ (?=[\p{L}\p{M}])
            | (?<=[\p{jt=L}\p{jt=D}] \p{jt=T}*) (\u200c) [\u200c\u200d]*+ (?=\p{jt=T}* [\p{jt=R}\p{jt=D}])
            | (?<=\p{Extended_Pictographic} [\ufe0f\U0001f3fb-\U0001f3ff]*) (\u200d) (?=\p{Extended_Pictographic})
            | [\u200c\u200d]++
            """,
            regex.V1 | regex.VERBOSE,
        )


@cache
def _patterns() -> _Patterns:
    return _Patterns()
