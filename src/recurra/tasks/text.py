"""Text to token ids: a trained tokenizer with its vocabulary, and a limit on length that is said aloud."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch

from recurra.base.errors import RunError
from recurra.data.tokenizers import (
    UNK,
    Tokenizer,
    TokenizerPlan,
    Vocabulary,
    VocabularyPlan,
    tokenizer_from_json,
    vocabulary_from_json,
)

Keep = Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Tokens and ids of a text. max_length: tokens that are kept, from the start or the end; None keeps all."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    max_length: int | None
    keep: Keep

    @classmethod
    def fit(
        cls,
        plan: TokenizerPlan,
        texts: Sequence[str],
        *,
        min_count: int,
        max_vocabulary: int | None,
        max_length: int | None,
        keep: Keep,
    ) -> TextEncoder:
        """Train the tokenizer and count the vocabulary on training texts."""
        tokenizer = plan.train(texts)
        counts = Counter(token for text in texts for token in tokenizer.tokenize(text))
        vocabulary = VocabularyPlan(min_count=min_count, max_size=max_vocabulary).build(counts)
        return cls(tokenizer, vocabulary, max_length, keep)

    def tokens(self, text: str) -> tuple[str, ...]:
        """The tokens of a text, all of them."""
        # One object for each distinct token: a corpus of six million words takes 50 MB instead of 370.
        return tuple(map(sys.intern, self.tokenizer.tokenize(text)))

    def kept(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """The tokens within the limit."""
        if self.max_length is None or len(tokens) <= self.max_length:
            return tokens
        return tokens[: self.max_length] if self.keep == "start" else tokens[-self.max_length :]

    def pad_sequence(self, texts: Sequence[tuple[str, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (T, N), zero where padded, and lengths (N,)."""
        rows = [self.vocabulary.ids(tokens) for tokens in texts]
        return pad_sequence(rows), torch.tensor(list(map(len, rows)), dtype=torch.int64)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "tokenizer": self.tokenizer.to_json(),
            "vocabulary": self.vocabulary.to_json(),
            "max_length": self.max_length,
            "keep": self.keep,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> TextEncoder:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            limit, keep = data["max_length"], data["keep"]
            if not (limit is None or (isinstance(limit, int) and limit > 0)) or keep not in ("start", "end"):
                raise ValueError(f"max_length {limit!r} and keep {keep!r}")
            vocabulary = vocabulary_from_json(data["vocabulary"])
            return cls(tokenizer_from_json(data["tokenizer"]), vocabulary, limit, keep)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected a tokenizer with its vocabulary: {error}") from error


def pad_sequence(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """(T, N) int64, zero where padded. One array for all rows: a tensor for each took a tenth of a training step."""
    lengths = np.array(list(map(len, rows)), dtype=np.int64)
    table = np.zeros((len(rows), int(lengths.max(initial=0))), dtype=np.int64)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(rows), np.int64)
    return torch.from_numpy(np.ascontiguousarray(table.T))


def unknown_share(reader: TextEncoder, texts: Iterable[tuple[str, ...]]) -> float:
    """The share of tokens that the vocabulary does not have, 0..1."""
    ids = [number for tokens in texts for number in reader.vocabulary.ids(tokens)]
    return ids.count(UNK) / max(len(ids), 1)
