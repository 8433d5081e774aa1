"""Files of questions to vectors of words: analogies with their answers, and pairs of words with people's marks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recurra.base.errors import DataError
from recurra.data.formats.lines import Lines, open_bytes, refuse_missing
from recurra.data.word_vectors.table import SMALL, Rule, WordVectors

# Questions that are answered at once: their scores are a table of this many rows, of all words each.
BLOCK = 256
# What the column of marks is called in files that have other columns between.
MARKS = ("simlex999", "human (mean)", "similarity", "score", "mean")


class Analogy(NamedTuple):
    """a is to b as c is to d."""

    category: str
    a: str
    b: str
    c: str
    d: str


class Pair(NamedTuple):
    """Two words, and how similar people find them."""

    a: str
    b: str
    mark: float


def read_analogies(path: Path) -> list[Analogy]:
    """Four words a line, below lines such as `: capital-common-countries`. Raises DataError with `file:line`."""
    found, category = [], ""
    for number, line in _lines(path):
        if line.startswith(":"):
            category = line[1:].strip()
            continue
        words = line.split()
        if len(words) != 4:
            raise DataError(
                f"{path}:{number}: expected four words, or ': category', found {len(words)}: {line[:60]!r}."
            )
        found.append(Analogy(category, *words))
    if not found:
        raise DataError(f"{path}: holds no analogy; expected four words a line.")
    return found


def read_pairs(path: Path) -> list[Pair]:
    """Two words and a mark a line, with tabs, commas or spaces between; a first line may name the columns.

    The mark is the third field, or that of the column that is called as in SimLex-999 or WordSim-353.
    Raises DataError with `file:line`.
    """
    found: list[Pair] = []
    place = 2
    for number, line in _lines(path):
        fields = [
            field.strip()
            for field in (line.split("\t") if "\t" in line else line.split(",") if "," in line else line.split())
        ]
        if not found and len(fields) > 2 and not _is_number(fields[min(place, len(fields) - 1)]):
            names = [field.lower() for field in fields]
            known = next((name for name in MARKS if name in names), None)
            if known is not None and place == 2:
                place = names.index(known)
                continue
        if len(fields) <= place or not _is_number(fields[place]):
            raise DataError(f"{path}:{number}: expected two words and a mark, found {line[:60]!r}.")
        found.append(Pair(fields[0], fields[1], float(fields[place])))
    if not found:
        raise DataError(f"{path}: holds no pair; expected two words and a mark a line.")
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    refuse_missing(path)
    with open_bytes(path) as file:
        for line in Lines(file, str(path)):
            if line.text.strip():
                yield line.number, line.text.strip()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def folded(vectors: WordVectors, *, among: int | None = None, lowercase: bool = True) -> WordVectors:
    """The first so many words, in lower case: of words that are the same then the first, most frequent one counts."""
    words = vectors.words[:among]
    if not lowercase:
        return WordVectors(words, vectors.matrix[: len(words)], source=vectors.source)
    first: dict[str, int] = {}
    for number, word in enumerate(words):
        first.setdefault(word.lower(), number)
    return WordVectors(tuple(first), vectors.matrix[list(first.values())], source=vectors.source)


def right_answers(vectors: WordVectors, asked: Sequence[Analogy], rule: Rule) -> list[bool]:
    """Whether the first answer among all words is the right one; all words of the questions have vectors."""
    unit = vectors.units
    at = np.array([[vectors.index[word] for word in one[1:]] for one in asked], np.int64).reshape(-1, 4)
    found: list[bool] = []
    for begin in range(0, len(at), BLOCK):
        some = at[begin : begin + BLOCK]
        a, b, c = (unit[some[:, k]] @ unit.T for k in range(3))
        scores = b - a + c if rule == "add" else (1 + b) / 2 * ((1 + c) / 2) / ((1 + a) / 2 + SMALL)
        np.put_along_axis(scores, some[:, :3], -np.inf, 1)
        found += (scores.argmax(1) == some[:, 3]).tolist()
    return found
