"""Texts as the numbers of their tokens: two or four bytes a token, and the spelling of those that have no number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.digest import digest_of
from recurra.data.store.keeping import Numbers
from recurra.data.store.plain import Way
from recurra.data.tokenizers.blocks import TEXTS, Block, Places, numbered
from recurra.data.tokenizers.vocabulary import UNK, Vocabulary

Ids = NDArray[np.uint16] | NDArray[np.int32]
# Tokens that are worked on at once, about: NumPy makes eight bytes of each.
BLOCK = 2**18
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

    def parts(self, stretches: Iterable[tuple[int, int]]) -> Encoded:
        """Tokens `start` up to `stop` of each stretch, one after the other."""
        some = [self.part(start, stop) for start, stop in stretches]
        spelt = _BETWEEN.join(one.spelling for one in some if one.spelling)
        return Encoded(self.vocabulary, b"".join(one.data for one in some), spelt)

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


def way_of(vocabulary: Vocabulary) -> Way:
    """How an encoded text becomes plain values, and comes back."""
    return Way(lambda text: (text.data, text.spelling), lambda plain: Encoded(vocabulary, *plain))


class Unknown:
    """The spelling of unknown tokens, of texts that follow one another."""

    def __init__(self) -> None:
        self._spelt: deque[bytes] = deque()

    def add(self, spelling: bytes) -> None:
        """Put those of a text behind the others."""
        if spelling:
            self._spelt.extend(spelling.split(_BETWEEN))

    def taken(self, number: int) -> bytes:
        """The spelling of the first so many, which are taken away."""
        return _BETWEEN.join(self._spelt.popleft() for _ in range(number))

    def keep(self, number: int) -> None:
        """Take all away but the last so many."""
        self.taken(len(self._spelt) - number)

    @property
    def spelling(self) -> bytes:
        """All of them, as `Encoded.spelling`."""
        return _BETWEEN.join(self._spelt)


class Corpus:
    """Training texts, cut into tokens once, while nobody knows yet which tokens will have a number.

    Until then a token's number is its place among the different tokens, in the order in which they were seen.
    numbers: makes what keeps such numbers, of a dtype      places: the tokens with their numbers
    """

    def __init__(self, numbers: Callable[[Any], Numbers]) -> None:
        self.places = Places()
        self._tokens, self._lengths = numbers(np.int32), numbers(np.int32)
        self._seen = np.zeros(0, np.int64)

    def add(self, block: Block) -> None:
        """Put texts behind the others."""
        own = block.numbers if block.tokens is self.places else numbered(self.places, block.tokens)[block.numbers]
        self._seen = _added(self._seen, own, len(self.places))
        self._tokens.extend(own)
        self._lengths.extend(block.lengths)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each text."""
        return self._lengths.read(0, len(self._lengths))

    def counts(self, kept: NDArray[np.bool_] | None = None) -> Mapping[str, int]:
        """How often each token was seen. kept: (N,), which texts count; None: all of them"""
        seen = self._seen
        if kept is not None:
            seen = np.zeros(len(self.places), np.int64)
            for first, places, lengths in self._parts():
                seen += np.bincount(places[np.repeat(kept[first : first + len(lengths)], lengths)], minlength=len(seen))
        return {token: number for token, number in zip(self.places, seen.tolist(), strict=True) if number}

    def encoded(self, vocabulary: Vocabulary) -> Iterator[Encoded]:
        """The texts, in order; no token is looked up twice."""
        numbering = _Numbering(vocabulary, self.places)
        for _, places, lengths in self._parts():
            yield from numbering.texts(places, lengths)

    def _parts(self) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
        """Texts that are near one another: the number of the first one, their tokens, and how many each has."""
        at = 0
        for first in range(0, len(self._lengths), TEXTS):
            lengths = self._lengths.read(first, min(first + TEXTS, len(self._lengths)))
            ends = at + lengths.cumsum(dtype=np.int64)
            starts = [0, *(1 + np.flatnonzero(np.diff((ends - at) // BLOCK))).tolist(), len(lengths)]
            for a, b in pairwise(starts):
                begin, end = int(ends[a] - lengths[a]), int(ends[b - 1])
                yield first + a, self._tokens.read(begin, end), lengths[a:b]
            at = int(ends[-1])


def _added(seen: NDArray[np.int64], places: NDArray[np.int32], number: int) -> NDArray[np.int64]:
    """(number,) how often each place was seen, with these."""
    found = np.bincount(places, minlength=number)
    found[: len(seen)] += seen
    return found


class _Numbering:
    """Places among some tokens as the numbers of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary, tokens: Collection[str]) -> None:
        self._vocabulary = vocabulary
        numbers = vocabulary.ids(tokens)
        self._numbers = np.array(numbers, vocabulary.dtype)
        self._spelt = {
            place: _bytes(token)
            for place, (token, number) in enumerate(zip(tokens, numbers, strict=True))
            if number == UNK
        }

    def texts(self, places: NDArray[np.int32], lengths: NDArray[np.int32]) -> Iterator[Encoded]:
        """Texts of these tokens, one after the other."""
        ids = self._numbers[places]
        data, size = ids.tobytes(), ids.itemsize
        ends = lengths.cumsum(dtype=np.int64)
        unknown = np.flatnonzero(ids == UNK)
        spelt = list(map(self._spelt.__getitem__, places[unknown].tolist()))
        start, first = 0, 0
        for end, last in zip(ends.tolist(), np.searchsorted(unknown, ends).tolist(), strict=True):
            spelling = _BETWEEN.join(spelt[first:last]) if last > first else b""
            yield Encoded(self._vocabulary, data[start * size : end * size], spelling)
            start, first = end, last


def encoded_block(vocabulary: Vocabulary, block: Block) -> Iterator[Encoded]:
    """The texts of a block as numbers."""
    return _Numbering(vocabulary, block.tokens).texts(block.numbers, block.lengths)


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")


def _text(token: bytes) -> str:
    return token.decode("utf-8", "surrogatepass")
