"""What stands between white space: for text that is cut into tokens already, and for phones."""

from __future__ import annotations

from typing import ClassVar

from recurra.data.tokenizers.cleaned import CleanedTokenizer


class Spaces(CleanedTokenizer):
    """Whatever stands between white space, symbols and all; nothing to train."""

    name: ClassVar[str] = "spaces"

    def tokenize(self, text: str) -> list[str]:
        """Cut `text` at white space."""
        return self._clean(text).split()
