"""What stands between white space: for text that is cut into tokens already, and for phones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from recurra.base.option import Opt
from recurra.data.tokenizers.cleaning import NORMAL_FORMS, Cleaning, NormalForm
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys


class Spaces:
    """Whatever stands between white space, symbols and all; nothing to train."""

    def __init__(
        self,
        *,
        lowercase: Annotated[bool, Opt("fold to lower case")] = False,
        normalization: Annotated[NormalForm, Opt("Unicode normal form", choices=NORMAL_FORMS)] = "nfc",
    ) -> None:
        self._clean = Cleaning(lowercase=lowercase, normalization=normalization)

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Itself: `texts` are not read."""
        return self

    def tokenize(self, text: str) -> list[str]:
        """Cut `text` at white space."""
        return self._clean(text).split()

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens with a space between."""
        return " ".join(tokens)

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": "spaces", "lowercase": self._clean.lowercase, "normalization": self._clean.normalization}


def spaces_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The opposite of `Spaces.to_json`."""
    return Spaces(**with_keys(data, "lowercase", "normalization"))
