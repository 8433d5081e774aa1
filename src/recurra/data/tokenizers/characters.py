"""Characters as a reader sees them: grapheme clusters, a letter with all its marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import regex  # type: ignore[import-untyped]

from recurra.data.tokenizers.cleaned import CleanedTokenizer

# Unicode Standard Annex #29. Pairs of regional indicators (flags) come first, because \X counts back to the start of
# their run at each one: a text of 250,000 of them did not end within minutes.
CHARACTER = regex.compile(r"\p{RI}\p{RI}[\p{Grapheme_Extend}\p{GCB=SpacingMark}\u200d]*+|\X")


class Characters(CleanedTokenizer):
    """Grapheme clusters, white space among them; nothing to train."""

    name: ClassVar[str] = "characters"

    def tokenize(self, text: str) -> list[str]:
        """Cut `text` into characters; joined, they are the cleaned text."""
        characters: list[str] = CHARACTER.findall(self._clean(text))
        return characters

    def join(self, tokens: Sequence[str]) -> str:
        """The characters, one after the other."""
        return "".join(tokens)
