"""A text that comes piece by piece: where it may be cut, so that its parts have the tokens of the whole."""

from __future__ import annotations

import regex  # type: ignore[import-untyped]

from recurra.base.errors import DataError
from recurra.data.tokenizers import Tokenizer

# Before white space: no cluster of characters begins there, unless a prepended mark or CR stands before it ...
_BEFORE_SPACE = regex.compile(r"(?<=[^\s\p{GCB=Prepend}\p{GCB=Control}])\s", regex.V1)
# ... and, where tokens are characters, between two that neither combine nor change each other's lower case.
_BETWEEN_CHARACTERS = regex.compile(r"(?<=[A-Za-z0-9 \p{Han}])(?=[A-Za-z0-9 \p{Han}])", regex.V1)
# Characters that wait for a place to cut at.
LONGEST_TAIL = 10_000


def cut(text: str, tokenizer: Tokenizer) -> tuple[str, str]:
    """A beginning whose tokens are final, and the rest, whose last token may still become longer.

    Raises DataError where the rest is longer than 10,000 characters.
    """
    places = _BETWEEN_CHARACTERS if tokenizer.to_json()["name"] == "characters" else _BEFORE_SPACE
    at = max((found.start() for found in places.finditer(text)), default=0)
    if len(text) - at > LONGEST_TAIL:
        raise DataError(f"text: {len(text) - at:,} characters without white space; expected some between words.")
    return text[:at], text[at:]
