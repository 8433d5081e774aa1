"""Tokenizers that clean a text and cut it by a rule: nothing to train, the same two options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from recurra.base.option import Opt
from recurra.data.tokenizers.cleaning import NORMAL_FORMS, Cleaning, NormalForm
from recurra.data.tokenizers.tokenizer import Tokenizer, with_keys


class CleanedTokenizer(ABC):
    """All but the rule. name: by which a config and a run folder know it"""

    name: ClassVar[str]

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

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """Cut `text` by the rule."""

    def join(self, tokens: Sequence[str]) -> str:
        """The tokens with a space between."""
        return " ".join(tokens)

    def to_json(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": self.name, "lowercase": self._clean.lowercase, "normalization": self._clean.normalization}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tokenizer:
        """The opposite of `to_json`."""
        return cls(**with_keys(data, "lowercase", "normalization"))
