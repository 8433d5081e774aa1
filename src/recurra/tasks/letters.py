"""Words as the numbers of their letters, for inputs that read them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import ConfigError
from recurra.data.tokenizers import UNK, Vocabulary, VocabularyPlan
from recurra.data.tokenizers.encoded import Encoded
from recurra.data.tokenizers.vocabulary import SPECIALS

# A word is as long as its letters that are read; of a longer one the first and the last of them.
LONGEST_WORD = 64
# Words outside the vocabulary that are remembered at once.
REMEMBERED = 65_536

Numbers = NDArray[np.int64]


def shortened(word: str) -> str:
    """The letters of a word that are read."""
    half = LONGEST_WORD // 2
    return word if len(word) <= LONGEST_WORD else word[:half] + word[-half:]


def letters_of(counts: Mapping[str, int]) -> Vocabulary:
    """The letters of words that were seen so often."""
    found: dict[str, int] = {}
    for word, count in counts.items():
        for letter in shortened(word):
            found[letter] = found.get(letter, 0) + count
    return VocabularyPlan().build(found)


class KnownWords:
    """A vocabulary of words with their letters. letters: the vocabulary of these.

    A special token is a word of one letter, which has its number among the letters.
    """

    def __init__(self, words: Vocabulary, letters: Vocabulary) -> None:
        self.words, self.letters = words, letters

    @cached_property
    def rows(self) -> tuple[Numbers, Numbers]:
        """Letters (V, C), zero behind each word, and their numbers (V,)."""
        ordinary = self.words.tokens(range(len(SPECIALS), len(self.words)))
        return padded([*([k] for k in range(len(SPECIALS))), *map(self.spelt, ordinary)])

    def spelt(self, word: str) -> list[int]:
        """The numbers of a word's letters."""
        return self.letters.ids(shortened(word))


class Spellings:
    """Numbers of words, also of those that the vocabulary lacks: these are numbered from its size on as they come.

    No number is given twice. limit: words that are remembered; of more the oldest are forgotten
    """

    def __init__(self, known: KnownWords, limit: int | None = None) -> None:
        self._known, self._limit = known, limit
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._letters: dict[int, list[int]] = {}
        self._next = len(known.words)

    def numbers(self, words: Sequence[str]) -> list[int]:
        """A number for each word. Raises ConfigError for more words outside the vocabulary than are remembered."""
        own = self._known.words.ids(words)
        found = [self._number(w) if k == UNK else k for w, k in zip(words, own, strict=True)]
        if self._limit is not None and len({k for k in found if k >= len(self._known.words)}) > self._limit:
            raise ConfigError(
                f"the text has more than {self._limit:,} different words outside the vocabulary; shorten it."
            )
        return found

    def _number(self, word: str) -> int:
        if word in self._numbers:
            self._numbers.move_to_end(word)
            return self._numbers[word]
        if self._limit is not None and len(self._numbers) >= self._limit:
            del self._letters[self._numbers.popitem(last=False)[1]]
        self._numbers[word] = self._next
        self._letters[self._next] = self._known.spelt(word)
        self._next += 1
        return self._numbers[word]

    def of(self, text: Encoded) -> Numbers:
        """The numbers of a text, with one for each unknown word too."""
        found = text.ids.astype(np.int64)
        if text.spelling:
            found[text.ids == UNK] = self.numbers(text.unknown)
        return found

    def inputs(self, numbers: Numbers) -> dict[str, Tensor]:
        """Of numbers (T, N): tokens (T, N), 1 where the vocabulary lacks one, characters (C, T, N) and
        character_lengths (T, N)."""
        table, sizes = self._known.rows
        new = numbers >= len(sizes)
        tokens = np.where(new, UNK, numbers)
        lengths = sizes[tokens]
        others, where = np.unique(numbers[new], return_inverse=True)
        more, long = padded([self._letters[k] for k in others.tolist()])
        lengths[new] = long[where]
        characters = np.zeros((*numbers.shape, int(lengths.max(initial=0))), np.int64)
        C = min(characters.shape[2], table.shape[1])
        characters[:, :, :C] = table[tokens, :C]
        characters[new] = 0
        C = min(characters.shape[2], more.shape[1])
        characters[new, :C] = more[where, :C]
        return {
            "tokens": torch.from_numpy(tokens),
            "characters": torch.from_numpy(np.ascontiguousarray(characters.transpose(2, 0, 1))),
            "character_lengths": torch.from_numpy(lengths),
        }


def padded(rows: Iterable[Sequence[int]]) -> tuple[Numbers, Numbers]:
    """(R, C), zero behind each row, and how long each is (R,)."""
    kept = list(rows)
    lengths = np.array(list(map(len, kept)), np.int64)
    found = np.zeros((len(kept), int(lengths.max(initial=0))), np.int64)
    found[np.arange(found.shape[1]) < lengths[:, None]] = [one for row in kept for one in row]
    return found, lengths
