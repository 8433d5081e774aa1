"""Words and vectors as a file gives them: the first of each word, finite, all of one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import DataError
from recurra.data.word_vectors.table import Array

Bad = Literal["error", "skip"]
BAD: Final[tuple[Bad, ...]] = ("error", "skip")
# A corpus has no longer words, and no library longer vectors; what says so is no file of vectors.
LONGEST_WORD, MOST_NUMBERS = 10_000, 100_000


class Collected:
    """top: how many words at most; bad: what happens to a word that cannot be taken."""

    def __init__(self, source: str, top: int | None, bad: Bad) -> None:
        self.source, self.top, self._bad = source, top, bad
        self.words: list[str] = []
        self._seen: set[str] = set()
        self._zero, self._repeated, self._skipped, self._first = 0, 0, 0, ""

    @property
    def full(self) -> bool:
        """Whether no more words are wanted."""
        return self.top is not None and len(self.words) >= self.top

    def refuse(self, place: str, problem: str) -> None:
        """Raise DataError, or count a word that is left out."""
        message = f"{self.source}:{place}: {problem}"
        if self._bad == "error":
            raise DataError(f"{message} Mend the file, or skip such words (bad: skip).")
        self._skipped += 1
        self._first = self._first or message

    def take(self, word: str) -> bool:
        """Whether a word is new, so that its vector is wanted. The first of several counts, as in the libraries."""
        if word in self._seen:
            self._repeated += 1
            return False
        self._seen.add(word)
        self.words.append(word)
        return True

    def checked(self, matrix: Array) -> NDArray[np.bool_]:
        """Which rows are finite; counts those of zeros."""
        self._zero += int((~matrix.any(1)).sum())
        return np.asarray(np.isfinite(matrix).all(axis=1))

    def notes(self) -> Iterator[str]:
        """What was left out, and what is odd, a sentence each."""
        if self._skipped:
            yield f"{self.source}: {self._skipped:,} words were left out; the first: {self._first}"
        if self._repeated:
            yield f"{self.source}: {self._repeated:,} words stand there again; the first vector of each was taken."
        if self._zero:
            yield f"{self.source}: {self._zero:,} vectors are zero: nothing is near them."
