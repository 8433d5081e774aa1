"""fastText's model file (.bin): vectors of words and of their n-grams, so that unseen words have one too.

Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information": a word is the mean of the vectors of itself
and of the n-grams of <word>, which share `buckets` rows by a hash (FNV-1a over signed bytes, as the program does).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from recurra.base.errors import DataError
from recurra.data.formats.lines import open_bytes
from recurra.data.word_vectors.collected import LONGEST_WORD, MOST_NUMBERS, Collected
from recurra.data.word_vectors.table import Array, WordVectors

MAGIC = struct.pack("<i", 793712314)
VERSIONS = (11, 12)
NEGATIVE_SAMPLES, SKIP_GRAM, CLASSIFIER = 2, 2, 3
# Tables of more numbers than this are no model of words but a claim in a damaged file.
MOST = 2**36


class NGrams(NamedTuple):
    """Which n-grams of a word have a vector: of `shortest` to `longest` letters, in `buckets` rows by their hash."""

    buckets: int
    shortest: int
    longest: int

    def of(self, word: str) -> list[int]:
        """The buckets of a word's n-grams, in the program's order: by where they begin, then by length.

        `</s>`, the end of a line, has none.
        """
        if not self.longest or not self.buckets or word == "</s>":
            return []
        marked = f"<{word}>"
        found = []
        for begin in range(len(marked)):
            for length in range(max(self.shortest, 1), self.longest + 1):
                end = begin + length
                if end > len(marked):
                    break
                if length == 1 and (begin == 0 or end == len(marked)):
                    continue  # the marks alone are no n-gram
                found.append(fnv(marked[begin:end].encode()) % self.buckets)
        return found


class Subwords:
    """A model of words and of n-grams: a vector (d,) for a word that it has never seen, if it has an n-gram.

    matrix: (V + buckets, d), rows of words, then of n-grams      counts: (V,), how often each word was seen
    others: (V, d), by which words are told from others in training; None where they are not known
    """

    def __init__(
        self,
        words: Sequence[bytes],
        counts: Sequence[int],
        matrix: Array,
        ngrams: NGrams,
        others: Array | None = None,
        window: int = 5,
    ) -> None:
        self.words, self.counts, self.matrix, self.ngrams = words, counts, matrix, ngrams
        self.others, self.window = others, window

    def __call__(self, word: str) -> Array | None:
        """The mean of the vectors of its n-grams."""
        rows = self.rows(word)
        return self.matrix[rows].mean(0) if rows else None

    def rows(self, word: str) -> list[int]:
        """The rows of a word's n-grams."""
        return [len(self.words) + bucket for bucket in self.ngrams.of(word)]

    def known(self, at: int, word: str) -> Array:
        """The vector of the word of this number: the mean of its own row and its n-grams'."""
        found: Array = self.matrix[[at, *self.rows(word)]].mean(0)
        return found


def read_subwords(path: Path, collected: Collected) -> WordVectors:
    """Raises DataError for what is no such file, for a quantised model (.ftz), and for one that ends too early."""
    with open_bytes(path) as file:
        model = _read(file, collected.source)
    count = len(model.words) if collected.top is None else min(collected.top, len(model.words))
    kept, rows = [], []
    for k, word in enumerate(model.words[:count]):
        try:
            text = word.decode("utf-8")
        except UnicodeDecodeError:
            collected.refuse(f" word {k + 1:,}", "is not UTF-8.")
            continue
        if collected.take(text):
            kept.append(text)
            rows.append(model.known(k, text))
    matrix = np.array(rows, np.float32).reshape(len(rows), model.matrix.shape[1])
    if not collected.checked(matrix).all():
        raise DataError(f"{path}: holds numbers that are not finite.")
    return WordVectors(kept, matrix, model, collected.source)


def as_subwords(model: Subwords) -> Iterator[bytes]:
    """A model as fastText 12 writes one of skip-gram with negative samples, so that fastText and gensim read it."""
    size, n = model.matrix.shape[1], model.ngrams
    settings = (size, model.window, 1, 1, 5, 1, NEGATIVE_SAMPLES, SKIP_GRAM, n.buckets, n.shortest, n.longest, 100)
    yield MAGIC + struct.pack("<13id", VERSIONS[-1], *settings, 1e-4)
    yield struct.pack("<iiiqq", len(model.words), len(model.words), 0, sum(model.counts), -1)
    for word, count in zip(model.words, model.counts, strict=True):
        yield word + b"\0" + struct.pack("<qb", count, 0)
    others = np.zeros((len(model.words), size), np.float32) if model.others is None else model.others
    for matrix in (model.matrix, others):
        yield struct.pack("<?qq", False, *matrix.shape)
        for begin in range(0, len(matrix), 4096):
            yield np.ascontiguousarray(matrix[begin : begin + 4096], "<f4").tobytes()


def _read(file: BinaryIO, source: str) -> Subwords:
    try:
        if file.read(4) != MAGIC or (version := _one(file, "i")) not in VERSIONS:
            raise DataError(f"{source}: expected a model of fastText, of version {' or '.join(map(str, VERSIONS))}.")
        size, *_, kind, buckets, shortest, longest, _ = struct.unpack("<12i", _taken(file, 48))
        _taken(file, 8)  # the threshold of sub-sampling
        if version == 11 and kind == CLASSIFIER:
            longest = 0  # as fastText takes such models
        entries, words, labels, _, pruned = struct.unpack("<iiiqq", _taken(file, 28))
        if (
            not 1 <= size <= MOST_NUMBERS
            or words < 0
            or buckets < 0
            or entries != words + labels
            or words + buckets > MOST // size
        ):
            raise DataError(f"{source}: says {words:,} words, {buckets:,} buckets and vectors of {size:,} numbers.")
        named = [_entry(file) for _ in range(entries)][:words]
        _taken(file, 8 * max(pruned, 0))
        if _one(file, "?"):
            raise DataError(f"{source}: is quantised (.ftz); take the model as it was before, or its .vec.")
        rows, columns = struct.unpack("<qq", _taken(file, 16))
        if rows != words + buckets or columns != size:
            raise DataError(f"{source}: expected {words + buckets:,} x {size:,} numbers, got {rows:,} x {columns:,}.")
        matrix = np.frombuffer(_taken(file, 4 * rows * columns), "<f4").reshape(rows, columns)
    except EOFError:
        raise DataError(f"{source}: ends before its vectors do; it is not whole.") from None
    names, counts = [name for name, _ in named], [count for _, count in named]
    return Subwords(names, counts, matrix, NGrams(buckets, shortest, longest))


def _taken(file: BinaryIO, count: int) -> bytes:
    """So many bytes. Raises EOFError. In pieces: a claim of terabytes must not allocate them."""
    pieces, left = [], count
    while left:
        piece = file.read(min(left, 2**24))
        if not piece:
            raise EOFError
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _one(file: BinaryIO, kind: str) -> int:
    return int(struct.unpack(f"<{kind}", _taken(file, struct.calcsize(f"<{kind}")))[0])


def _entry(file: BinaryIO) -> tuple[bytes, int]:
    """A word or label of the dictionary, and its count; its kind is passed over."""
    word = bytearray()
    while (byte := _taken(file, 1)) != b"\0":
        word += byte
        if len(word) > LONGEST_WORD:
            raise EOFError
    count, _ = struct.unpack("<qb", _taken(file, 9))
    return bytes(word), int(count)


def fnv(data: bytes) -> int:
    """FNV-1a of 32 bits, each byte extended with its sign, as fastText's C++ does."""
    value = 2166136261
    for byte in data:
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619) & 0xFFFFFFFF
    return value
