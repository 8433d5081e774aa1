"""Words and letters to numbers: what a model reads of a token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.base.errors import RunError
from recurra.base.normal import normal
from recurra.data.preparing import ExtraWords
from recurra.data.tokenizers import Vocabulary, VocabularyPlan, vocabulary_from_json
from recurra.data.tokenizers.cleaning import Cleaning
from recurra.data.tokenizers.encoded import Ids
from recurra.tasks.letters import shortened
from recurra.tasks.text import pad_arrays

Tokens = tuple[str, ...]
# Words whose numbers are remembered: those of a usual vocabulary, within 20 MB.
REMEMBERED = 65_536
# Words of training that have a pattern, so that it is one; a rarer one teaches what an unknown pattern means.
OFTEN = 2
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of the words of a sentence, of their patterns, and of their letters, one word after the other; sizes: letters of
    each word.

    Two bytes for each, four in a large vocabulary.
    """

    words: Ids
    patterns: Ids
    letters: Ids
    sizes: NDArray[np.uint8]


class WordReader:
    """Numbers of a word, of its letters, and of its pattern.

    words, letters, patterns: vocabularies; a word is looked up folded to lower case (if `lowercase`), with its digits
    as 0 (if `zero_digits`); letters and patterns are those of the word as it is written
    seen: the words of training, in normal form
    """

    def __init__(
        self,
        words: Vocabulary,
        letters: Vocabulary,
        patterns: Vocabulary,
        seen: frozenset[str],
        *,
        lowercase: bool,
        zero_digits: bool,
    ) -> None:
        self.words, self.letters, self.patterns, self.seen = words, letters, patterns, seen
        self.lowercase, self.zero_digits = lowercase, zero_digits
        self._fold = Cleaning(lowercase=lowercase, normalization="nfc")
        self._spell = Cleaning(lowercase=False, normalization="nfc")
        self._numbers = lru_cache(REMEMBERED)(self._look_up)

    @classmethod
    def fit(
        cls,
        counts: Mapping[str, int],
        extra: ExtraWords,
        *,
        min_count: int,
        max_size: int | None,
        lowercase: bool,
        zero_digits: bool,
    ) -> WordReader:
        """From the words of training sentences, with how often each is there: vocabularies of words, letters, patterns.

        min_count, max_size: of the words, as a VocabularyPlan has them      extra: words from elsewhere
        Raises DataError if no word is left.
        """
        nothing = Vocabulary([])
        reader = cls(nothing, nothing, nothing, frozenset(counts), lowercase=lowercase, zero_digits=zero_digits)
        folded: Counter[str] = Counter()
        letters: Counter[str] = Counter()
        patterns: Counter[str] = Counter()
        for word, count in counts.items():
            folded[reader.folded(word)] += count
            letters.update(dict.fromkeys(reader.spelt(word), count))
            patterns[pattern(reader.spelt(word))] += count
        often = sorted(one for one, times in patterns.items() if times >= OFTEN)
        return cls(
            VocabularyPlan(
                min_count=min_count, max_size=max_size, also=extra.read_as(lambda word: (reader.folded(word),))
            ).build(folded),
            VocabularyPlan().build(letters),
            Vocabulary(often),
            reader.seen,
            lowercase=lowercase,
            zero_digits=zero_digits,
        )

    def folded(self, word: str) -> str:
        """A word as it is looked up."""
        found = self._fold(word)
        return _DIGIT.sub("0", found) if self.zero_digits else found

    def spelt(self, word: str) -> str:
        """The letters of a word that are read."""
        return shortened(self._spell(word))

    def numbers(self, sentence: Tokens) -> Numbers:
        """Each word looked up once, with its letters."""
        found = list(map(self._numbers, sentence))
        spelt = [letters for *_, letters in found]
        return Numbers(
            np.array([number for number, *_ in found], self.words.dtype),
            np.array([number for _, number, _ in found], self.patterns.dtype),
            np.fromiter(chain.from_iterable(spelt), self.letters.dtype),
            np.array(list(map(len, spelt)), np.uint8),  # at most LONGEST_WORD
        )

    def inputs(self, rows: Sequence[Numbers]) -> dict[str, Tensor]:
        """words (T, N), patterns (T, N), characters (C, T, N) and character_lengths (T, N), zero where padded."""
        words, counts = pad_arrays([row.words for row in rows])
        T, N = words.shape
        sizes = np.concatenate([np.zeros(0, np.int64), *(row.sizes for row in rows)])
        flat = np.zeros((len(sizes), int(sizes.max(initial=0))), dtype=np.int64)
        flat[np.arange(flat.shape[1]) < sizes[:, None]] = np.concatenate([sizes[:0], *(row.letters for row in rows)])
        real = np.arange(T) < counts.numpy()[:, None]
        characters = np.zeros((N, T, flat.shape[1]), dtype=np.int64)
        characters[real] = flat
        lengths = np.zeros((N, T), dtype=np.int64)
        lengths[real] = sizes
        return {
            "words": words,
            "patterns": pad_arrays([row.patterns for row in rows])[0],
            "characters": torch.from_numpy(np.ascontiguousarray(characters.transpose(2, 1, 0))),
            "character_lengths": torch.from_numpy(np.ascontiguousarray(lengths.T)),
        }

    def _look_up(self, word: str) -> tuple[int, int, tuple[int, ...]]:
        spelt = self.spelt(word)
        own, its_pattern = self.words.ids([self.folded(word)])[0], self.patterns.ids([pattern(spelt)])[0]
        return own, its_pattern, tuple(self.letters.ids(spelt))

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return {
            "words": self.words.to_json(),
            "letters": self.letters.to_json(),
            "patterns": self.patterns.to_json(),
            "seen": sorted(self.seen),
            "lowercase": self.lowercase,
            "zero_digits": self.zero_digits,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], origin: str) -> WordReader:
        """The inverse of `to_json`. Raises RunError that names `origin`."""
        try:
            seen, lowercase, zero_digits = data["seen"], data["lowercase"], data["zero_digits"]
            if not isinstance(seen, list) or not all(isinstance(word, str) for word in seen):
                raise ValueError("seen is no list of words")
            if type(lowercase) is not bool or type(zero_digits) is not bool:
                raise ValueError(f"lowercase {lowercase!r} and zero_digits {zero_digits!r}")
            words, letters = vocabulary_from_json(data["words"]), vocabulary_from_json(data["letters"])
            # A run that was made before there were patterns has none, and its model reads none.
            patterns = vocabulary_from_json(data["patterns"]) if "patterns" in data else Vocabulary([])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{origin}: expected words and letters: {str(error)[:300]}.") from error
        return cls(words, letters, patterns, frozenset(map(normal, seen)), lowercase=lowercase, zero_digits=zero_digits)


def pattern(word: str) -> str:
    """Upper case as X, lower case as x, other letters as o, digits as d, signs as they are; of a run two at most.

    Anna: Xxx; USA: XX; I: X; McDonald's: XxXxx'x; 2,000: d,dd; well-known: xx-xx.
    """
    found: list[str] = []
    for letter in map(_kind, word):
        if found[-2:] != [letter, letter]:
            found.append(letter)
    return "".join(found)


def _kind(letter: str) -> str:
    if letter.isupper() or letter.istitle():
        return "X"
    if letter.islower():
        return "x"
    if letter.isdecimal():
        return "d"
    return "o" if letter.isalpha() else letter
