"""Scores of captions against several references: BLEU, ROUGE-L and CIDEr-D, from counts alone.

BLEU: Papineni et al. 2002, of the corpus, with the closest reference's length. ROUGE-L: Lin 2004, as captions have it:
the best precision and the best recall of all references, beta 1.2. CIDEr-D: Vedantam et al. 2015, arXiv:1411.5726,
eq. 3-6: n-grams of up to four words weighed by how few pictures have them, clipped, with a Gaussian of lengths.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from recurra.base.contracts import Score
from recurra.base.normal import normal
from recurra.metrics.words import words_of

Words = tuple[str, ...]
Grams = Counter[Words]
# Words of the longest n-grams; of ROUGE-L how much recall counts; of CIDEr-D the deviation of lengths, and its scale.
LONGEST, BETA, SIGMA, SCALE = 4, 1.2, 6.0, 10.0


@dataclass(frozen=True, slots=True)
class Captioned:
    """A caption that was written, and the right ones, as words in lower case without signs."""

    said: Words
    references: tuple[Words, ...]


def captioned(said: str, references: Sequence[str]) -> Captioned:
    """Texts as scores count them."""
    return Captioned(caption_words(said), tuple(map(caption_words, references)))


def caption_words(text: str) -> Words:
    """Words in lower case; signs are left out."""
    return tuple(words_of(normal(text).lower()))


def caption_scores(rows: Sequence[Captioned], split: str) -> tuple[Score, ...]:
    """cider_d, 0..10 (100 % of agreement); bleu_1 to bleu_4 and rouge_l, 0..1."""
    found = [Score("cider_d", cider_d(rows), "0..10", "higher", split)]
    found += [Score(f"bleu_{n}", value, "0..1", "higher", split) for n, value in enumerate(bleu(rows), start=1)]
    return (*found, Score("rouge_l", rouge_l(rows), "0..1", "higher", split))


def bleu(rows: Sequence[Captioned]) -> list[float]:
    """BLEU-1 to BLEU-4 of the corpus, 0..1. The closest length of a reference counts, the shorter of two as close."""
    right, all_of, said, meant = [0] * LONGEST, [0] * LONGEST, 0, 0
    for row in rows:
        length = len(row.said)
        said += length
        meant += min((abs(len(one) - length), len(one)) for one in row.references)[1]
        most: Grams = Counter()
        for one in row.references:
            most |= _grams(one)
        for gram, number in _grams(row.said).items():
            right[len(gram) - 1] += min(number, most[gram])
            all_of[len(gram) - 1] += number
    brevity = 1.0 if said >= meant else math.exp(1 - meant / said) if said else 0.0
    found, product = [], 1.0
    for n in range(LONGEST):
        product *= right[n] / all_of[n] if all_of[n] else 0.0
        found.append(brevity * product ** (1 / (n + 1)))
    return found


def rouge_l(rows: Sequence[Captioned]) -> float:
    """The mean over pictures, 0..1."""
    return math.fsum(map(rouge_l_of, rows)) / len(rows)


def rouge_l_of(row: Captioned) -> float:
    """Of one picture: the longest common subsequence with each reference.

    The best precision and the best recall may be of two references, as pycocoevalcap has it; Lin (2004, section 2.4)
    takes the best single one, which is never more.
    """
    common = [_common(row.said, one) for one in row.references]
    if not row.said or not any(common):
        return 0.0
    precision = max(common) / len(row.said)
    recall = max(c / len(one) for c, one in zip(common, row.references, strict=True) if one)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def cider_d(rows: Sequence[Captioned]) -> float:
    """The mean over pictures, 0..10. Of a single picture it is 0: no n-gram tells it from another."""
    return math.fsum(cider_d_of(rows)) / len(rows)


def cider_d_of(rows: Sequence[Captioned]) -> list[float]:
    """Of each picture, 0..10; how rare an n-gram is, is counted in the references of these."""
    weights = _Weights(len(rows))
    for row in rows:
        weights.count(row.references)
    return [weights.cider(row) for row in rows]


@dataclass(slots=True)
class _Weights:
    """How few of so many pictures have an n-gram in a reference."""

    pictures: int
    having: Grams = field(default_factory=Counter)

    def count(self, references: Sequence[Words]) -> None:
        self.having.update({gram for one in references for gram in _grams(one)})

    def cider(self, row: Captioned) -> float:
        said = self._vector(row.said)
        each = [self._likeness(said, self._vector(one), len(row.said) - len(one)) for one in row.references]
        return SCALE * math.fsum(each) / len(each)

    def _vector(self, words: Words) -> tuple[dict[Words, float], list[float]]:
        """Each n-gram's weight, and the length of the vector of each n."""
        log = math.log(self.pictures)
        weights = {gram: n * (log - math.log(max(self.having[gram], 1))) for gram, n in _grams(words).items()}
        squares = [0.0] * LONGEST
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight * weight
        return weights, [math.sqrt(square) for square in squares]

    def _likeness(
        self, said: tuple[dict[Words, float], list[float]], one: tuple[dict[Words, float], list[float]], longer: int
    ) -> float:
        sums = [0.0] * LONGEST
        for gram, weight in said[0].items():
            if (other := one[0].get(gram)) is not None:
                sums[len(gram) - 1] += min(weight, other) * other
        cosines = [s / (a * b) if a and b else 0.0 for s, a, b in zip(sums, said[1], one[1], strict=True)]
        return math.exp(-(longer**2) / (2 * SIGMA**2)) * math.fsum(cosines) / LONGEST


def _grams(words: Words) -> Grams:
    return Counter(words[k : k + n] for n in range(1, LONGEST + 1) for k in range(len(words) - n + 1))


def _common(first: Words, second: Words) -> int:
    """The length of the longest common subsequence."""
    above = [0] * (len(second) + 1)
    for a in first:
        row = [0]
        for j, b in enumerate(second):
            row.append(above[j] + 1 if a == b else max(above[j + 1], row[-1]))
        above = row
    return above[-1]
