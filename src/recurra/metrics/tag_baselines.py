"""What a tagger must beat to have learned anything but its dictionary.

frequent     each word gets the tag that it had most often in training; a new one the most frequent tag of all words
dictionary   each stretch of words that was a span in training, more often than not, is one again, the longest first
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

Tokens = Sequence[str]
Tags = Sequence[str]
Spans = Sequence[tuple[str, int, int]]
Stretch = tuple[str, ...]


class FrequentTag:
    """The most frequent tag of each word; ties go to the tag that comes first in the alphabet."""

    def __init__(self, sentences: Sequence[Tokens], tags: Sequence[Tags]) -> None:
        counts: dict[str, Counter[str]] = {}
        for words, row in zip(sentences, tags, strict=True):
            for word, tag in zip(words, row, strict=True):
                counts.setdefault(word, Counter())[tag] += 1
        self._known = {word: _first(some) for word, some in counts.items()}
        self._other = _first(sum(counts.values(), Counter()))

    def __call__(self, words: Tokens) -> list[str]:
        """A tag for each word."""
        return [self._known.get(word, self._other) for word in words]


class SpanDictionary:
    """The stretches of words that were spans in training at least half of the times when they occurred.

    Where two begin at a word, the longer one is taken, and the next one begins behind it. A label is the most frequent
    one of its stretch; ties go to the label that comes first in the alphabet.
    """

    def __init__(self, sentences: Iterable[Tokens], spans: Iterable[Spans]) -> None:
        labels: dict[Stretch, Counter[str]] = {}
        for words, row in zip(sentences, spans, strict=True):
            for label, start, end in row:
                labels.setdefault(tuple(words[start:end]), Counter())[label] += 1
        self._set(labels, Counter())
        self._seen.update(stretch for words in sentences for _, _, stretch in self._stretches(words))

    @classmethod
    def of_entries(cls, entries: Iterable[tuple[Tokens, str]]) -> Self:
        """Words with the label of each: a list that somebody has made, in which nothing is counted."""
        labels: dict[Stretch, Counter[str]] = {}
        for words, label in entries:
            labels.setdefault(tuple(words), Counter())[label] += 1
        found = cls((), ())
        found._set(labels, Counter({words: counts.total() for words, counts in labels.items()}))
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the order of the alphabet."""
        return tuple(sorted({label for counts in self._labels.values() for label in counts}))

    def _set(self, labels: Mapping[Stretch, Counter[str]], seen: Counter[Stretch]) -> None:
        self._labels, self._seen, self._longest = labels, seen, dict[str, int]()
        for stretch in labels:
            self._longest[stretch[0]] = max(self._longest.get(stretch[0], 0), len(stretch))

    def __call__(self, words: Tokens, own: Spans | None = None) -> list[tuple[str, int, int]]:
        """The spans of a sentence. own: of a sentence of training, its spans: what it counted itself is left out"""
        there = list(self._stretches(words))
        times = Counter(stretch for _, _, stretch in there) if own is not None else Counter[Stretch]()
        counted: dict[Stretch, Counter[str]] = {}
        for label, start, end in own or ():
            counted.setdefault(tuple(words[start:end]), Counter())[label] += 1
        found: list[tuple[str, int, int]] = []
        free = 0
        for start, end, stretch in there:
            labels = self._labels[stretch] - counted.get(stretch, Counter())
            if start >= free and labels and 2 * labels.total() >= self._seen[stretch] - times[stretch]:
                found.append((_first(labels), start, end))
                free = end
        return found

    def _stretches(self, words: Tokens) -> Iterator[tuple[int, int, Stretch]]:
        """All stretches that were spans, by their start, the longest first."""
        for start, word in enumerate(words):
            for end in range(min(start + self._longest.get(word, 0), len(words)), start, -1):
                if (stretch := tuple(words[start:end])) in self._labels:
                    yield start, end, stretch

    def to_json(self) -> list[Any]:
        """[words, how often they occurred, how often as a span of each label] of each stretch."""
        return [[list(words), self._seen[words], dict(labels)] for words, labels in self._labels.items()]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Self:
        """The inverse of `to_json`. Raises ValueError or TypeError for what is none."""
        found = cls((), ())
        labels: dict[Stretch, Counter[str]] = {}
        seen: Counter[Stretch] = Counter()
        for words, number, counts in data:
            texts = bool(words) and all(isinstance(word, str) for word in words)
            if not texts or not _are_counts([number, *counts.values()]):
                raise ValueError(f"a stretch {[words, number, counts]!r:.80}")
            labels[tuple(words)], seen[tuple(words)] = Counter(counts), number
        found._set(labels, seen)
        return found


def _are_counts(numbers: Sequence[Any]) -> bool:
    return all(type(number) is int and number > 0 for number in numbers)


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name))
