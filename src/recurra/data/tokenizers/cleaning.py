"""What happens to a text before it is cut: a Unicode normal form and, if asked, lower case."""

from __future__ import annotations

from typing import Literal

from recurra.base.errors import ConfigError
from recurra.base.normal import normal

NormalForm = Literal["nfc", "nfkc", "none"]
NORMAL_FORMS: tuple[NormalForm, ...] = ("nfc", "nfkc", "none")


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
        if self.normalization == "none":
            return text
        return normal(text, "NFC" if self.normalization == "nfc" else "NFKC")
