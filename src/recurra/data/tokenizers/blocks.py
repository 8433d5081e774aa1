"""Many texts cut into tokens, a block of them at a time: here, or in other processes, with the same result."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, count
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
# Texts of a block, at most, and its characters, about: a worker is busy with one for a few hundredths of a second.
TEXTS, CHARACTERS = 2048, 2**17


class Cut(Protocol):
    """Cuts a text into tokens."""

    def __call__(self, text: str) -> list[str]: ...


class CutsBlocks(Protocol):
    """Cuts the texts of rows, block by block, in order."""

    def __call__(self, rows: Iterable[T], text: Callable[[T], str]) -> Iterator[tuple[list[T], Block]]: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Texts as tokens. tokens: the different ones, in the order in which they are first seen

    numbers: (L,) int32, the place of each token among these, one text after the other      lengths: (N,) int32, of each
    """

    tokens: Collection[str]
    numbers: NDArray[np.int32]
    lengths: NDArray[np.int32]


def cut_block(cut: Cut, texts: Iterable[str], places: dict[str, int] | None = None) -> Block:
    """Cut texts, each once. places: of the tokens before, which the block goes on with in the place of its own"""
    lengths, tokens = array("i"), list[str]()
    for text in texts:
        found = cut(text)
        tokens += found
        lengths.append(len(found))
    own: dict[str, int] = {}
    numbers = numbered(own if places is None else places, tokens)
    return Block(list(own) if places is None else places, numbers, np.frombuffer(lengths, np.int32))


def numbered(places: dict[str, int], tokens: Collection[str]) -> NDArray[np.int32]:
    """(L,) the place of each token in a dictionary that numbers its keys in order; new ones are put behind the others.

    Each token is looked up once, and no line of Python is run for it.
    """
    known = len(places)
    found = np.fromiter(map(places.setdefault, tokens, count(known)), np.int32, len(tokens))
    # A new one has the number of its first place among the tokens; now they are numbered without gaps.
    is_first = np.zeros(len(tokens), bool)
    is_first[found[found >= known] - known] = True
    places.update(zip(compress(tokens, is_first.tolist()), count(known)))
    dense = np.concatenate([np.arange(known, dtype=np.int32), known - 1 + is_first.cumsum(dtype=np.int32)])
    return dense[found]


def gathered(rows: Iterable[T], text: Callable[[T], str]) -> Iterator[tuple[list[T], list[str]]]:
    """Rows with their texts, as many as make a block."""
    some: list[T] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        some.append(row)
        texts.append(text(row))
        size += len(texts[-1])
        if len(some) == TEXTS or size >= CHARACTERS:
            yield some, texts
            some, texts, size = [], [], 0
    if some:
        yield some, texts


def in_this_process(cut: Cut) -> CutsBlocks:
    """Cuts blocks here."""

    def blocks(rows: Iterable[Any], text: Callable[[Any], str]) -> Iterator[tuple[list[Any], Block]]:
        for some, texts in gathered(rows, text):
            yield some, cut_block(cut, texts)

    return blocks
