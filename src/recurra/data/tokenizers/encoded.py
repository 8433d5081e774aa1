"""Texts as the numbers of their tokens: two or four bytes a token, and the spelling of those that have no number."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import sub

import numpy as np
from numpy.typing import NDArray

from recurra.base.digest import digest_of
from recurra.data.tokenizers.vocabulary import UNK, Vocabulary

Ids = NDArray[np.uint16] | NDArray[np.int32]
# Tokens that are counted at once: NumPy makes eight bytes of each.
BLOCK = 2**20
# Between unknown tokens: a byte that UTF-8 does not have.
_BETWEEN = b"\xff"


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text. data: their numbers, as bytes of `vocabulary.dtype`, 1 where unknown

    spelling: of those numbered 1, in order, as bytes: an object for each took half as much as all numbers
    """

    vocabulary: Vocabulary
    data: bytes
    spelling: bytes = b""

    def __len__(self) -> int:
        return len(self.data) // self.vocabulary.dtype.itemsize

    @property
    def ids(self) -> Ids:
        """(L,), not to be written to."""
        return np.frombuffer(self.data, self.vocabulary.dtype)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The tokens that the vocabulary lacks, in order."""
        return tuple(map(_text, self.spelling.split(_BETWEEN))) if self.spelling else ()

    @property
    def num_unknown(self) -> int:
        return self.spelling.count(_BETWEEN) + 1 if self.spelling else 0

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens as the tokenizer cut them."""
        numbers = self.ids.tolist()
        found = self.vocabulary.tokens(numbers)
        if self.spelling:
            spelt = iter(self.unknown)
            found = [next(spelt) if number == UNK else token for token, number in zip(found, numbers, strict=True)]
        return tuple(found)

    def part(self, start: int, stop: int) -> Encoded:
        """Tokens `start` up to `stop`."""
        before, here = (int(np.count_nonzero(self.ids[a:b] == UNK)) for a, b in ((0, start), (start, stop)))
        size = self.vocabulary.dtype.itemsize
        spelt = self.spelling.split(_BETWEEN)[before : before + here] if here else []
        return Encoded(self.vocabulary, self.data[start * size : stop * size], _BETWEEN.join(spelt))

    def pieces(self, size: int) -> Iterator[Encoded]:
        """The text in pieces of `size` tokens; the last one may be shorter."""
        spelt = iter(self.spelling.split(_BETWEEN))
        step = size * self.vocabulary.dtype.itemsize
        for at in range(0, len(self.data), step):
            data = self.data[at : at + step]
            number = int(np.count_nonzero(np.frombuffer(data, self.vocabulary.dtype) == UNK))
            yield Encoded(self.vocabulary, data, _BETWEEN.join(next(spelt) for _ in range(number)))

    @property
    def key(self) -> bytes:
        """The same for the same tokens of one vocabulary, and for no others."""
        return b"%d %b%b" % (len(self.data), self.data, self.spelling)

    def digest(self) -> bytes:
        """32 bytes, others for other tokens or another vocabulary."""
        return digest_of(self.vocabulary.digest, self.data, self.spelling)


def encode(vocabulary: Vocabulary, tokens: Iterable[str]) -> Encoded:
    """Tokens as numbers, each looked up once."""
    cut = list(tokens)
    numbers = vocabulary.ids(cut)
    unknown = [_bytes(t) for t, n in zip(cut, numbers, strict=True) if n == UNK] if UNK in numbers else ()
    return Encoded(vocabulary, np.array(numbers, vocabulary.dtype).tobytes(), _BETWEEN.join(unknown))


def joined(vocabulary: Vocabulary, texts: Iterable[Encoded]) -> Encoded:
    """Texts one after the other, as one."""
    some = list(texts)
    data = b"".join(text.data for text in some)
    return Encoded(vocabulary, data, _BETWEEN.join(text.spelling for text in some if text.spelling))


class Corpus:
    """Training texts, cut into tokens once, while nobody knows yet which tokens will have a number.

    Until then a token's number is its place among the different tokens, in the order in which they were seen.
    """

    def __init__(self) -> None:
        self._places = _Places()
        self._tokens = array("i")
        self._ends = array("q", [0])

    def add(self, tokens: Iterable[str]) -> None:
        """Put a text behind the others."""
        self.add_parts([tokens])

    def add_parts(self, parts: Iterable[Iterable[str]]) -> Sequence[int]:
        """The same of a text that comes in parts; how many tokens each of them has."""
        ends = array("q", [len(self._tokens)])
        for tokens in parts:
            self._tokens.extend(map(self._places.__getitem__, tokens))
            ends.append(len(self._tokens))
        self._ends.append(ends[-1])
        return array("q", map(sub, ends[1:], ends))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        ends = np.frombuffer(self._ends, np.int64)
        return ends[1:] - ends[:-1]

    def counts(self, kept: NDArray[np.bool_] | None = None) -> Mapping[str, int]:
        """How often each token was seen. kept: (N,), which texts count; None: all of them"""
        places = np.frombuffer(self._tokens, np.intc)
        if kept is not None and not kept.all():
            places = places[np.repeat(kept, self.lengths)]
        seen = np.zeros(len(self._places), np.int64)
        for at in range(0, len(places), BLOCK):
            seen += np.bincount(places[at : at + BLOCK], minlength=len(seen))
        return {token: number for token, number in zip(self._places, seen.tolist(), strict=True) if number}

    def encoded(self, vocabulary: Vocabulary) -> Iterator[Encoded]:
        """The texts, in order; no token is looked up twice."""
        numbers = vocabulary.ids(self._places)
        spelt = [_bytes(token) if number == UNK else b"" for token, number in zip(self._places, numbers, strict=True)]
        number_of = np.array(numbers, vocabulary.dtype)
        places = np.frombuffer(self._tokens, np.intc)
        for start, end in pairwise(self._ends):
            some = places[start:end]
            ids = number_of[some]
            unknown = map(spelt.__getitem__, some[ids == UNK].tolist())
            yield Encoded(vocabulary, ids.tobytes(), _BETWEEN.join(unknown))


class _Places(dict[str, int]):
    """A number for each key that is asked for, from 0 on."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")


def _text(token: bytes) -> str:
    return token.decode("utf-8", "surrogatepass")
