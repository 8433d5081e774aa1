"""A word a line with its numbers: GloVe's files, and word2vec's text form, whose first line has the sizes.

A word may hold spaces (GloVe 840B has such): the numbers are the last d fields. Where no line says d, it is what most
of the first lines have.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.base.errors import DataError
from recurra.data.formats.lines import open_bytes
from recurra.data.word_vectors.collected import LONGEST_WORD, MOST_NUMBERS, Collected
from recurra.data.word_vectors.table import Array, WordVectors

# Lines that tell d, and lines whose numbers are read at once.
FIRST, BLOCK = 100, 4096
# The longest line: of the longest word and vector, in full precision.
LONGEST_LINE = LONGEST_WORD + 32 * MOST_NUMBERS


class _Line(NamedTuple):
    number: int
    word: str
    numbers: bytes


def read_text(path: Path, collected: Collected) -> WordVectors:
    """Raises DataError for a file of no vectors, and for a first line whose sizes are not those of the file."""
    with open_bytes(path) as file:
        lines = enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), 1)
        first = list(islice(lines, FIRST))
        sizes = _sizes(first[0][1]) if first else None
        if sizes:
            first = first[1:]
        size = _size(first, sizes, collected.source)
        blocks = list(_blocks(chain(first, lines), size, collected))
    matrix = np.concatenate(blocks) if blocks else np.zeros((0, size), np.float32)
    if sizes and not collected.full and sizes[0] != len(matrix):
        collected.refuse("1", f"the first line says {sizes[0]:,} words, the file has {len(matrix):,}.")
    return WordVectors(collected.words, matrix, source=collected.source)


def _sizes(line: bytes) -> tuple[int, int] | None:
    """V and d of a first line that says them."""
    fields = line.split()
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(f.isdigit() for f in fields) else None


def _size(first: list[tuple[int, bytes]], sizes: tuple[int, int] | None, source: str) -> int:
    """d: what most of the first lines have, which a line of sizes must agree with."""
    counts = Counter(len(line.split()) - 1 for _, line in first if line.strip())
    if not counts:
        raise DataError(f"{source}: holds no vectors.")
    size = counts.most_common(1)[0][0]
    if sizes and sizes[1] != size:
        if not any(count >= sizes[1] for count in counts):
            raise DataError(
                f"{source}:1: the first line says vectors of {sizes[1]:,} numbers, those below have {size:,}."
            )
        size = sizes[1]
    if not 1 <= size <= MOST_NUMBERS:
        raise DataError(f"{source}:{first[0][0]}: expected a word and numbers, with spaces between, found neither.")
    return size


def _blocks(lines: Iterator[tuple[int, bytes]], size: int, collected: Collected) -> Iterator[Array]:
    """The vectors of the words that are taken, many at a time."""
    found = _words(lines, size, collected)
    while block := list(islice(found, BLOCK)):
        matrix = _numbers(block, size)
        good = matrix is not None and collected.checked(matrix).all()
        yield matrix if matrix is not None and good else _one_by_one(block, size, collected)


def _words(lines: Iterator[tuple[int, bytes]], size: int, collected: Collected) -> Iterator[_Line]:
    """Lines that have a word and d fields, each word once."""
    for number, line in lines:
        if collected.full:
            return
        text = line.rstrip().replace(b"\t", b" ")
        if not text:
            continue
        fields = text.rsplit(b" ", size) if text.count(b" ") != size else text.split(b" ", 1)
        word = _word(fields[0])
        if len(fields) != size + 1 and text.count(b" ") != size:
            collected.refuse(str(number), f"expected a word and {size:,} numbers, found {len(text.split()):,} fields.")
        elif word is None:
            collected.refuse(str(number), "the word is empty, too long or not UTF-8.")
        elif collected.take(word):
            yield _Line(number, word, b" ".join(fields[1:]))


def _word(field: bytes) -> str | None:
    try:
        return field.decode("utf-8") or None if len(field) <= LONGEST_WORD else None
    except UnicodeDecodeError:
        return None


def _numbers(block: list[_Line], size: int) -> Array | None:
    """(lines, d), or None where a field of them is no number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what follows a field that is no number
        try:
            found = np.fromstring(b" ".join([line.numbers for line in block]).decode("ascii"), np.float32, sep=" ")
        except (UnicodeDecodeError, ValueError):
            return None
    return found.reshape(len(block), size) if found.size == len(block) * size else None


def _one_by_one(block: list[_Line], size: int, collected: Collected) -> Array:
    """The same, where a line is refused by its number, and its word is taken back."""
    kept, words = [], []
    for line in block:
        row = _numbers([line], size)
        if row is None:
            collected.refuse(str(line.number), f"'{line.word}': expected {size:,} numbers after the word.")
        elif not np.isfinite(row).all():
            collected.refuse(str(line.number), f"'{line.word}': a number is not finite.")
        else:
            kept.append(row)
            words.append(line.word)
    collected.words[len(collected.words) - len(block) :] = words
    return np.concatenate(kept) if kept else np.zeros((0, size), np.float32)
