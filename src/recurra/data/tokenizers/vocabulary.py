"""Tokens to numbers and back. Four numbers are taken: padding 0, unknown 1, begin 2, end 3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Annotated, Any

import numpy as np

from recurra.base.digest import digest_of
from recurra.base.errors import ConfigError, DataError, RunError
from recurra.base.option import Opt

PAD, UNK, BOS, EOS = range(4)
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
MOST_IN_TWO_BYTES = 2**16


class Vocabulary:
    """Tokens by number; unchangeable. A token that is spelt like a special one is an unknown token.

    tokens: the ordinary ones, numbered from 4 in their order.
    dtype: of an array of numbers
    Raises DataError when one is empty, appears twice, or is spelt like a special one.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = (*SPECIALS, *tokens)
        self._ids = {token: number for number, token in enumerate(tokens, start=len(SPECIALS))}
        if len(self._ids) < len(tokens):
            raise DataError(f"vocabulary: {len(tokens) - len(self._ids)} tokens appear twice.")
        if "" in self._ids or not self._ids.keys().isdisjoint(SPECIALS):
            raise DataError(f"vocabulary: a token must not be empty or one of {', '.join(SPECIALS)}.")
        # What a number takes: two bytes, in a large vocabulary four.
        self.dtype = np.dtype(np.uint16 if len(self._tokens) <= MOST_IN_TWO_BYTES else np.int32)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._tokens == other._tokens

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> bytes:
        """32 bytes, others for other tokens or another order."""
        return digest_of(self._tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token; 1 for one that is not known."""
        return list(map(self._ids.get, tokens, repeat(UNK)))

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The token of each number. Raises DataError for a number outside 0..len-1."""
        numbers = list(ids)
        for number in numbers:
            if not 0 <= number < len(self._tokens):
                raise DataError(f"vocabulary: expected a token number in 0..{len(self._tokens) - 1}, got {number}.")
        return [self._tokens[number] for number in numbers]

    def to_json(self) -> dict[str, Any]:
        """Specials and tokens, in order."""
        return {"specials": list(SPECIALS), "tokens": list(self._tokens[len(SPECIALS) :])}


class VocabularyPlan:
    """Which tokens are worth a number.

    also: tokens that have one even if no text has them, behind the others, whatever min_count and max_size say
    Raises ConfigError when max_size leaves no room for a single token.
    """

    def __init__(
        self,
        *,
        min_count: Annotated[int, Opt("leave out tokens seen fewer times in training", ge=1)] = 1,
        max_size: Annotated[int | None, Opt("entries at most, the four special ones included", ge=5)] = None,
        also: Iterable[str] = (),
    ) -> None:
        if min_count < 1 or (max_size is not None and max_size <= len(SPECIALS)):
            raise ConfigError(
                f"vocabulary: expected min_count of at least 1 and max_size of at least {len(SPECIALS) + 1}, "
                f"got {min_count} and {max_size}."
            )
        self._min_count = min_count
        self._max_tokens = None if max_size is None else max_size - len(SPECIALS)
        self._also = also

    def build(self, counts: Mapping[str, int]) -> Vocabulary:
        """The vocabulary of the most frequent tokens; equally frequent ones in the order of their code points.

        Raises DataError when none is left.
        """
        frequent = [t for t, n in counts.items() if n >= self._min_count and t and t not in SPECIALS]
        # Sorted twice, and equals stay in order: half of the time of a pair for each token.
        ranked = sorted(sorted(frequent), key=counts.__getitem__, reverse=True)[: self._max_tokens]
        if not ranked:
            raise DataError(
                f"vocabulary: none of {len(counts)} different tokens appears at least {self._min_count} times. "
                "Lower min_count, or check that the text field is the right one."
            )
        known = {*ranked, *SPECIALS, ""}
        return Vocabulary([*ranked, *(token for token in dict.fromkeys(self._also) if token not in known)])


def vocabulary_from_json(data: object) -> Vocabulary:
    """The opposite of `Vocabulary.to_json`. Raises RunError when `data` is not such a thing."""
    if not isinstance(data, dict) or set(data) != {"specials", "tokens"}:
        raise RunError("vocabulary: expected an object with the keys specials, tokens.")
    if data["specials"] != list(SPECIALS):
        raise RunError(f"vocabulary: expected the specials {', '.join(SPECIALS)}, got {data['specials']!r}.")
    tokens = data["tokens"]
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise RunError("vocabulary: expected a list of tokens, all of them text.")
    try:
        return Vocabulary(tokens)
    except DataError as error:
        raise RunError(str(error)) from None
