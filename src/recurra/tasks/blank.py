"""Texts without anything to read: what they are, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import regex  # type: ignore[import-untyped]

# What stands in the answer to such a text, under the name `note`.
NOTE = "blank text"
# White space as str.split takes it, control characters, and what has no width of its own: zero-width spaces and
# joiners, soft hyphens, direction marks, variation selectors (Unicode's Default_Ignorable_Code_Point).
_UNSEEN = regex.compile(r"[\s\x1c-\x1f\p{Cc}\p{Default_Ignorable_Code_Point}]*+", regex.V1)


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return _UNSEEN.fullmatch(text) is not None


def emptiness(text: str) -> str:
    """What is wrong with a text that nothing can be learned from, for a message; "" for any other."""
    return "is empty" if not text.strip() else "holds nothing that can be seen" if is_blank(text) else ""


def blank_warnings(examples: Sequence[Any], then: str = ", and {have} an empty answer") -> tuple[str, ...]:
    """A sentence on the examples that are blank (`is_blank`), if there are some. then: what becomes of them"""
    found = [example for example in examples if example.is_blank]
    if not found:
        return ()
    are, have = ("is", "has") if len(found) == 1 else ("are", "have")
    return (
        f"{len(found)} of {len(examples)} texts {are} blank (empty, or of white space and characters that cannot be "
        f"seen){then.format(have=have)}; the first: {found[0].origin}.",
    )
