"""What happens to a text before it is cut: a Unicode normal form and, if asked, lower case."""

from __future__ import annotations

import unicodedata
from typing import Literal

import regex  # type: ignore[import-untyped]

from recurra.base.errors import ConfigError

NormalForm = Literal["nfc", "nfkc", "none"]
NORMAL_FORMS: tuple[NormalForm, ...] = ("nfc", "nfkc", "none")

# U+FF9E and U+FF9F are letters that turn into combining marks under NFKC.
_LONG_MARKS = regex.compile(r"([\p{M}\uFF9E\uFF9F]{30})(?=[\p{M}\uFF9E\uFF9F])")
_GRAPHEME_JOINER = "\u034f"


class Cleaning:
    """Normalise and fold a text. normalization: "nfc", "nfkc" or "none". Raises ConfigError for another word."""

    def __init__(self, *, lowercase: bool, normalization: NormalForm) -> None:
        if normalization not in NORMAL_FORMS:
            raise ConfigError(f"normalization: expected one of {', '.join(NORMAL_FORMS)}, got {normalization!r}.")
        if not isinstance(lowercase, bool):
            raise ConfigError(f"lowercase: expected true or false, got {lowercase!r}.")
        self.lowercase = lowercase
        self.normalization = normalization

    def __call__(self, text: str) -> str:
        text = self._normal(text)
        # In that order: the lower case of a text in normal form is in normal form (true of all 1.1 million characters).
        return text.lower() if self.lowercase else text

    def _normal(self, text: str) -> str:
        if self.normalization == "none" or text.isascii():
            return text
        form: Literal["NFC", "NFKC"] = "NFC" if self.normalization == "nfc" else "NFKC"
        return unicodedata.normalize(form, stream_safe(text))


def stream_safe(text: str) -> str:
    """Put a grapheme joiner after each 30 combining marks in a row; any other text is returned as it is.

    Without it, normalising n marks in a row takes time proportional to n squared (8,000 marks: 44 ms).
    Source: Unicode Standard Annex #15, section 13, "Stream-Safe Text Format".
    """
    return str(_LONG_MARKS.sub(rf"\1{_GRAPHEME_JOINER}", text))
