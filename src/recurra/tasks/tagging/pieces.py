"""Words as pieces: a sentence is read in pieces, and each word has the vector of its first one.

Devlin et al. 2019, arXiv:1810.04805, section 5.3: the first piece stands for the word, the others have no tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from recurra.data.tokenizers import UNK, Pieces
from recurra.tasks.text import pad_sequence

# Words whose pieces are remembered.
REMEMBERED = 65_536
Window = tuple[int, int]


class PieceReader:
    """The inputs of a model that reads pieces. longest: pieces of a window, marks and all; at least 3"""

    def __init__(self, pieces: Pieces, longest: int) -> None:
        self.pieces, self.longest = pieces, longest
        self._begin, self._end = pieces.vocabulary.ids([pieces.marks["begin"], pieces.marks["separator"]])
        self._numbers = lru_cache(REMEMBERED)(self._look_up)

    def inputs(self, sentences: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """tokens (P, R), piece_lengths (R,), places (T, N): where in the (P R) steps the first piece of each word is.

        A sentence of more pieces than there is room for has several rows, each with the last quarter of the one before;
        a word is read in the one where it stands farther from an end. The first rows of all come first.
        """
        rows: list[list[int]] = []
        more: list[list[int]] = []
        found: list[list[tuple[int, int]]] = []
        for number, sentence in enumerate(sentences):
            words = [self._numbers(word) for word in sentence]
            spans = list(windows([len(word) for word in words], self.longest - 2))
            own = [number, *(len(sentences) + len(more) + k for k in range(len(spans) - 1))]
            framed = [self._framed(words[start:end]) for start, end in spans]
            rows.append(framed[0])
            more += framed[1:]
            owners = _owners(spans, len(words))
            found.append([(own[w], _first(words[spans[w][0] : k])) for k, w in enumerate(owners)])
        whole = [*rows, *more]
        places = pad_sequence([[step * len(whole) + row for row, step in each] for each in found])
        lengths = torch.tensor(list(map(len, whole)), dtype=torch.int64)
        return {"tokens": pad_sequence(whole), "piece_lengths": lengths, "places": places}

    def _framed(self, words: Sequence[Sequence[int]]) -> list[int]:
        return [self._begin, *(number for word in words for number in word), self._end]

    def _look_up(self, word: str) -> tuple[int, ...]:
        """The pieces of a word; one that has none, such as a control character, is unknown."""
        pieces = [piece for piece, _ in self.pieces.pieces(word)]
        return tuple(self.pieces.vocabulary.ids(pieces)[: self.longest - 2]) or (UNK,)


def windows(sizes: Sequence[int], room: int) -> Iterator[Window]:
    """Stretches of words whose pieces fit, as (start, stop): each begins with the last quarter of the one before."""
    before = [0, *accumulate(sizes)]
    start, total = 0, len(sizes)
    while True:
        stop = int(np.searchsorted(before, before[start] + room, side="right")) - 1
        yield start, stop
        if stop >= total:
            return
        start = max(start + 1, int(np.searchsorted(before, before[stop] - room // 4)))


def _owners(spans: Sequence[Window], number: int) -> list[int]:
    """In which window each word is read: the one in which it stands farthest from an end that is not the sentence's."""

    def margin(window: int, word: int) -> float:
        start, stop = spans[window]
        left = word - start if start else np.inf
        return float(min(left, stop - 1 - word if stop < number else np.inf))

    found, first = [], 0
    for word in range(number):
        while spans[first][1] <= word:
            first += 1
        there = [k for k in range(first, len(spans)) if spans[k][0] <= word < spans[k][1]]
        found.append(max(there, key=lambda k: margin(k, word)))
    return found


def _first(before: Sequence[Sequence[int]]) -> int:
    """The step of a word's first piece, behind the mark and the words before it."""
    return 1 + sum(map(len, before))
