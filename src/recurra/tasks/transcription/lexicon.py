"""Words with their pronunciations, as a run reads texts: what is said is units, what is answered is words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from recurra.base.errors import ConfigError, RunError
from recurra.data.lexicons import Lexicon
from recurra.decode.fusion import Fusion
from recurra.decode.ngrams import LONGEST_COUNT
from recurra.decode.pronunciations import Pronunciations, Way
from recurra.decode.unigrams import Unigrams
from recurra.decode.word_beam import SpokenWords
from recurra.tasks.columns import values
from recurra.tasks.sizing import Choice, Options, Seen
from recurra.tasks.transcription.texts import Case, Punctuation, Units, cleaned

# What the numbers of words in the texts of training weigh, where no language model stands beside; trees that are kept.
USUAL_WEIGHT, KEPT = 0.7, 2
# Texts that a run may say to have counted.
MOST_TEXTS = 10**LONGEST_COUNT
Stress = Literal["keep", "drop"]
# Behind a vowel of CMUdict: 1 primary stress, 2 secondary, 0 none.
_STRESS = re.compile(r"(?<=\D)[012]$")
# A way to say a word: units, and ln p of it among the ways of this word.
Spoken = tuple[tuple[str, ...], float]


class SpokenLexicon:
    """Words, cleaned as texts are, each with its ways to be said; the first is what training takes.

    words: {word: ways}      strange: lines whose word is none, or several, as the run reads texts
    counts: of words in the texts of training, of which there are `texts`
    """

    def __init__(
        self,
        words: Mapping[str, Sequence[Spoken]],
        strange: int = 0,
        counts: Mapping[str, int] = MappingProxyType({}),
        texts: int = 0,
    ) -> None:
        self._words, self.strange, self._counts, self._texts = words, strange, counts, texts
        self._kept: list[tuple[tuple[str, ...], Fusion, SpokenWords]] = []

    @classmethod
    def of(cls, lexicon: Lexicon, case: Case, punctuation: Punctuation, stress: Stress) -> SpokenLexicon:
        """The words of a file. Raises DataError, with file and line, for a word without a pronunciation."""
        words: dict[str, dict[tuple[str, ...], float]] = {}
        strange = 0
        for entry in lexicon.pronounced():
            word = cleaned(entry.word, case, punctuation)
            if not word or " " in word:
                strange += 1
                continue
            units = unstressed(entry.units) if stress == "drop" else entry.units
            ways = words.setdefault(word, {})
            ways[units] = max(ways.get(units, -math.inf), math.log(entry.p))
        if not words:
            raise ConfigError(f"lexicon: {lexicon.path}: none of its words is one to the run; take another.")
        return cls({word: tuple(ways.items()) for word, ways in words.items()}, strange)

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._words

    def counted(self, texts: Sequence[str]) -> SpokenLexicon:
        """The same with the numbers of words in the texts of training."""
        counts = Counter(word for text in texts for word in self._known(text)[0])
        return SpokenLexicon(self._words, self.strange, counts, len(texts))

    @cached_property
    def usual(self) -> Fusion:
        """How likely words are where no language model says it: by the texts of training."""
        return Fusion(Unigrams(self._counts, self._texts), "word", USUAL_WEIGHT)

    def spoken(self, units: Units, lm: Fusion) -> SpokenWords:
        """The words that can be said with these units, and what they are worth. Made once: it takes seconds."""
        for known, judge, words in self._kept:
            if judge is lm and known == units.units:
                return words
        found = SpokenWords(Pronunciations(self.ways(units), len(units)), (lm,))
        self._kept = [*self._kept[1 - KEPT :], (units.units, lm, found)]
        return found

    def can_be_said(self, units: Units) -> bool:
        """Whether some word can, with these units."""
        return any(self.is_said(word, units) for word in self._words)

    def said(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The units of a text between spaces, each word in its first way; and the words that have none, each once.

        A compound that is no word is said as its parts are.
        """
        known, strange = self._known(text)
        return " ".join(unit for word in known for unit in self._words[word][0][0]), strange

    def answered(self, text: str, units: Units) -> str:
        """The same as an answer with these units can have it: without words that nothing says, compounds in parts."""
        return " ".join(word for word in self._known(text)[0] if self.is_said(word, units))

    def _known(self, text: str) -> tuple[list[str], tuple[str, ...]]:
        """The words of a text that have a pronunciation, and those that have none, each once."""
        known: list[str] = []
        strange: dict[str, None] = {}
        for word in text.split():
            parts = [word] if word in self._words else word.split("-")
            if all(part in self._words for part in parts):
                known += parts
            else:
                strange[word] = None
        return known, tuple(strange)

    def ways(self, units: Units) -> Mapping[str, Sequence[Way]]:
        """The words that can be said with these units, each with its ways, as numbers."""
        place = units.places
        found = ((word, _numbered(ways, place)) for word, ways in self._words.items())
        return {word: ways for word, ways in found if ways}

    def is_said(self, word: str, units: Units) -> bool:
        """Whether one of its words can be said with these units."""
        return bool(_numbered(self._words[word], units.places))

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON: a line for each way, as in lexiconp.txt."""
        lines = [f"{word} {nats!r} {' '.join(way)}" for word, ways in self._words.items() for way, nats in ways]
        counts = [f"{word} {number}" for word, number in self._counts.items()]
        return {"lines": "\n".join(lines), "counts": "\n".join(counts), "texts": self._texts}

    @classmethod
    def from_json(cls, data: Any) -> SpokenLexicon:
        """The inverse of `to_json`. Raises RunError, KeyError, TypeError or ValueError for anything else."""
        words: dict[str, list[Spoken]] = {}
        lines, counts, texts = data["lines"], data.get("counts", ""), data.get("texts", 0)
        if (
            not isinstance(lines, str)
            or not isinstance(counts, str)
            or type(texts) is not int
            or not 0 <= texts < MOST_TEXTS
        ):
            raise RunError("lexicon: expected lines of words, and their numbers in so many texts.")
        for line in lines.split("\n"):
            word, nats, *units = line.split(" ")
            if not word or not all(units) or not units or not -math.inf < float(nats) <= 0:
                raise RunError(f"lexicon: expected a word, nats and units, got {line[:60]!r}.")
            words.setdefault(word, []).append((tuple(units), float(nats)))
        numbers = dict(line.split(" ") for line in counts.split("\n") if line)
        if not all(number.isdecimal() and len(number) < LONGEST_COUNT and int(number) for number in numbers.values()):
            raise RunError("lexicon: expected numbers of words.")
        return cls(words, counts={word: int(number) for word, number in numbers.items()}, texts=texts)


def _numbered(ways: Sequence[Spoken], place: Mapping[str, int]) -> list[Way]:
    """Those that can be said with units of these numbers."""
    return [(tuple(place[u] for u in way), nats) for way, nats in ways if all(u in place for u in way)]


def unstressed(units: Iterable[str]) -> tuple[str, ...]:
    """Units without the digits of their stress: AH0 and AH1 are one."""
    return tuple(_STRESS.sub("", unit) for unit in units)


def by_lexicon(options: Options, seen: Seen) -> tuple[list[Choice], Callable[[str], int]]:
    """How texts have to be read so that most words of the first rows are in the file, how its units are, and what says
    how many units a text has."""
    file, texts = Lexicon.read(Path(str(options["lexicon"]))), values(seen.rows, str(options["text"]))
    words: Mapping[Case, frozenset[str]] = {"keep": frozenset(file), "lower": frozenset(w.lower() for w in file)}
    known: dict[tuple[Case, Punctuation], int] = {}
    for case, signs in product(words, get_args(Punctuation)):
        known[case, signs] = sum(word in words[case] for text in texts for word in cleaned(text, case, signs).split())
    best = max(known, key=known.__getitem__)  # of equals the first: as little as possible is changed
    why = f"{known[best]:,} words of the first texts are in the lexicon so"
    read = zip(("task.case", "task.punctuation"), best, strict=True)
    found = [Choice(path, value, why) for path, value in read if value != "keep"]
    if any(_STRESS.search(unit) for entry in file.entries for unit in entry.units):
        found.append(Choice("task.stress", "drop", "few recordings teach few kinds of vowels"))
    lexicon = SpokenLexicon.of(file, *best, "drop")
    return found, lambda text: len(lexicon.said(cleaned(text, *best))[0].split())
