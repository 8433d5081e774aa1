"""Texts as numbers of known words, and the pieces of running text that training reads, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.base.contracts import Batch, Origin
from recurra.data.store import numbers_beside
from recurra.data.tokenizers import UNK, Encoded
from recurra.data.tokenizers.vocabulary import SPECIALS
from recurra.engine.words import END
from recurra.tasks.bucketing import ALL

Numbers = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class WordText:
    """A text. text: as it was given, "" of training rows"""

    encoded: Encoded
    is_blank: bool
    text: str
    origin: Origin

    @property
    def words(self) -> Numbers:
        """The known words, numbered from 0, the most frequent first; others are left out, as if not written."""
        ids = self.encoded.ids
        known: Numbers = ids[ids != UNK].astype(np.int32)
        known -= len(SPECIALS)
        return known

    @property
    def length(self) -> int:
        return len(self.encoded)

    @property
    def key(self) -> bytes:
        return self.encoded.key

    def digest(self) -> bytes:
        return self.encoded.digest()


class TextSampler:
    """All words of all texts, piece by piece: whole texts up to so many words, longer ones cut.

    The order is that of the file in each epoch, as in word2vec.
    """

    carries = False

    def __init__(self, examples: Sequence[WordText], *, batch_tokens: int, batch_rows: int, seed: int) -> None:
        self._numbers, self._seed = numbers_beside(examples, np.int32), seed
        self._starts, texts = [0], 0
        for example in examples:
            words = example.words
            begin, here = len(self._numbers), self._starts[-1]
            if begin > here and (begin + len(words) - here > batch_tokens or texts == batch_rows):
                self._starts.append(begin)
                texts = 0
            self._starts += range(self._starts[-1] + batch_tokens, begin + len(words), batch_tokens)
            self._numbers.extend(np.append(words, np.int32(END)))
            texts += 1
        self._starts.append(len(self._numbers))

    @property
    def total(self) -> int:
        """Words of all texts, with the ends of these."""
        return len(self._numbers)

    def pieces(self) -> Iterator[Numbers]:
        """All of them, piece by piece, with -1 behind each text."""
        for begin, end in pairwise(self._starts):
            yield self._numbers.read(begin, end)

    def plan(self, epoch: int) -> list[tuple[int, int]]:
        """The pieces of an epoch: its number, and theirs."""
        return [(epoch, piece) for piece in range(len(self._starts) - 1)]

    def batch(self, item: tuple[int, int], rows: slice = ALL) -> Batch:
        """inputs: words (T,), -1 behind each text; draws (2,): the seed, and the place of the first word in all epochs.

        indices: none, as no row of a model is one text.
        """
        epoch, piece = item
        begin, end = self._starts[piece : piece + 2]
        words = torch.from_numpy(self._numbers.read(begin, end).copy())
        place = (epoch - 1) * len(self._numbers) + begin
        count = int((words != END).sum())
        return Batch(
            {"words": words, "draws": torch.tensor([self._seed, place], dtype=torch.int64)},
            torch.tensor([count], dtype=torch.int64),
            {},
            (),
        )
