"""How often each n-gram stands in a text: runs of words, and of characters inside of words, as hashed numbers.

A number is a fixed function of the n-gram, so that no vocabulary has to be kept (feature hashing: Weinberger et al.
2009, arXiv:0902.2206). Two n-grams of one number are one feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from recurra.base.errors import ConfigError
from recurra.base.option import Opt
from recurra.base.registry import Registry

Numbers = NDArray[np.uint64]

# The multipliers of splitmix64 (Steele, Lea and Flood 2014), whose last step mixes all bits of a number.
ODD, FIRST, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Runs of words and of characters begin with different numbers, so that "a" the word is not "a" the letter.
WORDS, CHARACTERS = np.uint64(1 << 40), np.uint64(2 << 40)
# What a run's place is multiplied by.
PLACE = np.uint64(0xD1B54A32D192ED03)
# Runs that are longer than this are hardly ever seen twice.
LONGEST = 8


@dataclass(frozen=True, slots=True)
class Counted:
    """The n-grams of a text. ids: (G,) uint32, rising, each once      counts: (G,) float32, how often each is there"""

    ids: NDArray[np.uint32]
    counts: NDArray[np.float32]

    def to_plain(self) -> tuple[bytes, bytes]:
        """Both as bytes."""
        return self.ids.tobytes(), self.counts.tobytes()

    @classmethod
    def from_plain(cls, plain: tuple[bytes, bytes]) -> Counted:
        """The inverse of `to_plain`."""
        return cls(np.frombuffer(plain[0], np.uint32), np.frombuffer(plain[1], np.float32))


class HashedNGrams:
    """Runs of words and of characters, hashed into buckets.

    Runs of characters stay inside of what spaces part, with one space before and after it.
    Raises ConfigError, with all problems at once, for sizes that cannot be.
    """

    def __init__(
        self,
        *,
        words: Annotated[int, Opt("longest run of words that is counted; 0 counts none", ge=0, le=LONGEST)] = 2,
        characters: Annotated[
            tuple[int, ...] | None,
            Opt(
                "shortest and longest run of characters inside of words that is counted; null counts none",
                ge=1,
                le=LONGEST,
            ),
        ] = (2, 5),
        lowercase: Annotated[bool, Opt("count in lower case")] = True,
        buckets: Annotated[
            int, Opt("numbers that n-grams are hashed to; more take more memory and mix up fewer", ge=2, le=2**24)
        ] = 2**18,
        places: Annotated[
            bool,
            Opt("a run of characters counts apart at each place of a text; for texts of one length, such as genes"),
        ] = False,
    ) -> None:
        problems = []
        if places and characters is None:
            problems.append("places: are those of runs of characters, and characters is null; set places: false.")
        if characters is not None and not (len(characters) == 2 and characters[0] <= characters[1]):
            problems.append(
                f"characters: are {list(characters)}, expected a shortest and a longest run, such as [2, 5]."
            )
        if not words and characters is None:
            problems.append("words: is 0 and characters is null, so nothing is counted; give one of them.")
        if problems:
            raise ConfigError(problems)
        self.words, self.characters, self.lowercase, self.buckets = words, characters, lowercase, buckets
        self.places = places

    @property
    def word_buckets(self) -> int:
        """The numbers below this are of runs of words, the others of characters: one half each, where both are."""
        if self.characters is None:
            return self.buckets
        return self.buckets // 2 if self.words else 0

    def count(self, text: str, words: Sequence[str]) -> Counted:
        """The n-grams of a text. words: of the text, in the case that is counted"""
        runs = [_hashed(_word_runs(words, self.words), 0, self.word_buckets)] if self.words else []
        if self.characters is not None:
            found = _character_runs(text.split(), *self.characters, places=self.places)
            runs.append(_hashed(found, self.word_buckets, self.buckets))
        ids, counts = np.unique(np.concatenate(runs).astype(np.uint32), return_counts=True)
        return Counted(ids, counts.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """What other programs need to count the same."""
        sizes = None if self.characters is None else list(self.characters)
        return {
            "words": self.words,
            "characters": sizes,
            "lowercase": self.lowercase,
            "buckets": self.buckets,
            "places": self.places,
        }


def _word_runs(words: Sequence[str], longest: int) -> list[Numbers]:
    """A number for each run of 1 to `longest` words."""
    one = np.fromiter((crc32(word.encode("utf-8", "surrogatepass")) for word in words), np.uint64, len(words))
    one = _mixed(one + WORDS)
    found, run = [], one
    for size in range(longest):
        if size:
            run = _mixed(run[:-1] * ODD + one[size:])
        found.append(run)
        if len(run) < 2:
            break
    return found


def _character_runs(words: Sequence[str], shortest: int, longest: int, *, places: bool) -> list[Numbers]:
    """A number for each run of so many characters of " word "; with places, for each at each place of the text."""
    text = np.frombuffer("".join(f" {word} " for word in words).encode("utf-32-le", "surrogatepass"), np.uint32)
    word = np.repeat(np.arange(len(words)), np.array([len(one) + 2 for one in words], np.int64))
    letters, found = text.astype(np.uint64) + CHARACTERS, []
    place = np.arange(len(text), dtype=np.uint64) * (PLACE if places else np.uint64(0))
    run = letters
    for size in range(1, longest + 1):
        if size > 1:
            run = run[:-1] * ODD + letters[size - 1 :]
        if size >= shortest and len(run):
            found.append((run + place[: len(run)])[word[: len(run)] == word[size - 1 :]])
        if len(run) < 2:
            break
    return found


def _hashed(runs: Sequence[Numbers], first: int, end: int) -> Numbers:
    """The runs' numbers in first..end - 1."""
    return _mixed(np.concatenate([np.zeros(0, np.uint64), *runs])) % np.uint64(end - first) + np.uint64(first)


def _mixed(numbers: Numbers) -> Numbers:
    """Every bit of each number depends on all of its bits: the last step of splitmix64."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND
    return mixed ^ (mixed >> np.uint64(31))


class NoNGrams:
    """Nothing is counted: the model reads tokens alone."""


NGRAMS: Registry[type[HashedNGrams] | type[NoNGrams]] = Registry("ngrams")
NGRAMS.add("none", NoNGrams)
NGRAMS.add("hashed", HashedNGrams)
