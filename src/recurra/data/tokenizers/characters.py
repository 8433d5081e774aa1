"""Characters as a reader sees them: grapheme clusters, a letter with all its marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import regex  # type: ignore[import-untyped]

from recurra.base.option import Opt
from recurra.data.tokenizers.cleaning import NORMAL_FORMS, Cleaning, NormalForm
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys

# Unicode Standard Annex #29. Pairs of regional indicators (flags) come first, because \X counts back to the start of
# their run at each one: a text of 250,000 of them did not end within minutes.
CHARACTER = regex.compile(r"\p{RI}\p{RI}[\p{Grapheme_Extend}\p{GCB=SpacingMark}\u200d]*+|\X")


class Characters:
    """Grapheme clusters, white space among them; nothing to train."""

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
        """Cut `text` into characters; joined, they are the cleaned text."""
        characters: list[str] = CHARACTER.findall(self._clean(text))
        return characters

    def join(self, tokens: Sequence[str]) -> str:
        """The characters, one after the other."""
        return "".join(tokens)

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": "characters", "lowercase": self._clean.lowercase, "normalization": self._clean.normalization}


def characters_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The opposite of `Characters.to_json`."""
    return Characters(**with_keys(data, "lowercase", "normalization"))
