"""What a tagger must beat to have learned anything but its dictionary.

frequent     each word gets the tag that it had most often in training; a new one the most frequent tag of all words
dictionary   each stretch of words that was a span in training, more often than not, is one again, the longest first
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

Tokens = Sequence[str]
Tags = Sequence[str]
Spans = Sequence[tuple[str, int, int]]


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

    def __init__(self, sentences: Sequence[Tokens], spans: Sequence[Spans]) -> None:
        labels: dict[tuple[str, ...], Counter[str]] = {}
        for words, row in zip(sentences, spans, strict=True):
            for label, start, end in row:
                labels.setdefault(tuple(words[start:end]), Counter())[label] += 1
        self._longest = max(map(len, labels), default=0)
        seen = Counter(part for words in sentences for _, _, part in self._parts(words) if part in labels)
        self._known = {part: _first(some) for part, some in labels.items() if 2 * some.total() >= seen[part]}

    def __call__(self, words: Tokens) -> list[tuple[str, int, int]]:
        """The spans of a sentence."""
        found: list[tuple[str, int, int]] = []
        free = 0
        for start, end, part in self._parts(words):
            if start >= free and part in self._known:
                found.append((self._known[part], start, end))
                free = end
        return found

    def _parts(self, words: Tokens) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """All stretches that are not too long for a span, by their start, the longest first."""
        for start in range(len(words)):
            for end in range(min(start + self._longest, len(words)), start, -1):
                yield start, end, tuple(words[start:end])


def _first(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name))
