"""Many texts cut into tokens, a block of them at a time: here, or in other processes, with the same result."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
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


class Places(defaultdict[str, int]):
    """Tokens, numbered in the order in which they are first asked for. No line of Python is run for one."""

    def __init__(self) -> None:
        super().__init__(count().__next__)


def cut_block(cut: Cut, texts: Iterable[str], places: Places | None = None) -> Block:
    """Cut texts, each once. places: of the tokens before, which the block goes on with in the place of its own"""
    lengths, tokens = array("i"), list[str]()
    for text in texts:
        found = cut(text)
        tokens += found
        lengths.append(len(found))
    own = Places()
    numbers = numbered(own if places is None else places, tokens)
    return Block(list(own) if places is None else places, numbers, np.frombuffer(lengths, np.int32))


def numbered(places: Places, tokens: Collection[str]) -> NDArray[np.int32]:
    """(L,) the place of each token; new ones are put behind the others."""
    return np.fromiter(map(places.__getitem__, tokens), np.int32, len(tokens))


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
