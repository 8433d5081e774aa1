"""word2vec's binary form: a line of sizes, then each word, a space, and its numbers as little-endian float32.

Some writers end each vector with a newline, some do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from recurra.base.errors import DataError
from recurra.data.formats.lines import open_bytes
from recurra.data.word_vectors.collected import LONGEST_WORD, MOST_NUMBERS, Collected
from recurra.data.word_vectors.table import WordVectors

CHUNK = 2**20


def read_binary(path: Path, collected: Collected) -> WordVectors:
    """Raises DataError for sizes that cannot be, and for a file that ends within a word."""
    with open_bytes(path) as file:
        count, size = _sizes(file, collected.source)
        reader, rows = _Reader(file), []
        for k in range(1, count + 1):
            if collected.full:
                break
            word, vector = reader.word(), reader.take(4 * size)
            if word is None or len(vector) < 4 * size:
                raise DataError(f"{path}: the first line says {count:,} words, the file ends in word {k:,}.")
            text = _text(word)
            row = np.frombuffer(vector, "<f4")
            if text is None or not np.isfinite(row).all():
                problem = "is empty or not UTF-8." if text is None else f"'{text}': a number is not finite."
                collected.refuse(f" word {k:,}", problem)
            elif collected.take(text):
                rows.append(row)
    matrix = np.array(rows, np.float32).reshape(len(rows), size)
    collected.checked(matrix)
    return WordVectors(collected.words, matrix, source=collected.source)


def _sizes(file: BinaryIO, source: str) -> tuple[int, int]:
    fields = file.readline(64).split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise DataError(f"{source}:1: expected the number of words and of numbers in a vector, as '3000000 300'.")
    count, size = int(fields[0]), int(fields[1])
    if not 1 <= size <= MOST_NUMBERS:
        raise DataError(f"{source}:1: expected vectors of 1 to {MOST_NUMBERS:,} numbers, got {size:,}.")
    return count, size


class _Reader:
    """Words up to a space, and bytes by their number, from a file that is read in large pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._data, self._at = file, b"", 0

    def word(self) -> bytes | None:
        """Up to the next space, without newlines before; None where the file ends or no space comes."""
        while (end := self._data.find(b" ", self._at)) < 0:
            if len(self._data) - self._at > LONGEST_WORD or not self._more():
                return None
        found, self._at = self._data[self._at : end], end + 1
        return found.lstrip(b"\n")

    def take(self, count: int) -> bytes:
        """So many bytes; fewer where the file ends."""
        while len(self._data) - self._at < count and self._more():
            pass
        found = self._data[self._at : self._at + count]
        self._at += count
        return found

    def _more(self) -> bool:
        piece = self._file.read(CHUNK)
        self._data, self._at = self._data[self._at :] + piece, 0
        return bool(piece)


def _text(word: bytes) -> str | None:
    try:
        return word.decode("utf-8") or None
    except UnicodeDecodeError:
        return None
