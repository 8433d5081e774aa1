"""Word and character error rates: edits of all texts by the length of all references, never a mean of rates.

An empty reference counts as jiwer 4 has it: nothing said for it is right, and all that is said is inserted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Edits:
    """What leads from references to what was said: tokens that are right, substituted, deleted, inserted.

    pairs: (reference, said) of each token that is not right, None where there is none
    """

    correct: int
    substituted: int
    deleted: int
    inserted: int
    pairs: tuple[tuple[str | None, str | None], ...] = ()

    @property
    def all(self) -> int:
        return self.substituted + self.deleted + self.inserted

    @property
    def rate(self) -> float:
        """Edits by tokens of the references, of at least one token."""
        return self.all / max(self.correct + self.substituted + self.deleted, 1)


def edits(reference: Sequence[str], said: Sequence[str]) -> Edits:
    """The fewest edits (Levenshtein 1966); of several ways the one with a substitution, then a deletion, at the end."""
    both, alone = _ways(reference, said)
    i, j = len(reference), len(said)
    found: list[tuple[str | None, str | None]] = []
    while i or j:
        if i and j and _bit(both[i - 1], j - 1):
            i, j = i - 1, j - 1
            found.append((reference[i], said[j]))
        elif i and _bit(alone[i - 1], j):
            i -= 1
            found.append((reference[i], None))
        else:
            j -= 1
            found.append((None, said[j]))
    wrong = tuple((a, b) for a, b in reversed(found) if a != b)
    deleted, inserted = sum(b is None for _, b in wrong), sum(a is None for a, _ in wrong)
    return Edits(len(found) - len(wrong), len(wrong) - deleted - inserted, deleted, inserted, wrong)


def summed(each: Sequence[Edits]) -> Edits:
    """Of a whole corpus."""
    return Edits(
        sum(one.correct for one in each),
        sum(one.substituted for one in each),
        sum(one.deleted for one in each),
        sum(one.inserted for one in each),
        tuple(pair for one in each for pair in one.pairs),
    )


def transcript_scores(
    references: Sequence[str], said: Sequence[str], split: str, *, tokens: str = "words"
) -> tuple[Score, ...]:
    """wer with what it consists of, cer, sentence_error. tokens: what stands between spaces: words, phones"""
    words = summed([edits(a.split(), b.split()) for a, b in zip(references, said, strict=True)])
    letters = [edits(a, b) for a, b in zip(references, said, strict=True)]
    wrong = sum(a.split() != b.split() for a, b in zip(references, said, strict=True))
    counts = (
        ("substitutions", words.substituted),
        ("deletions", words.deleted),
        ("insertions", words.inserted),
        ("correct", words.correct),
    )
    return (
        Score("wer", words.rate, "0..1", "lower", split),
        Score("cer", summed(letters).rate, "0..1", "lower", split),
        Score("sentence_error", wrong / max(len(references), 1), "0..1", "lower", split),
        *(Score(name, float(count), tokens, "neither", split) for name, count in counts),
    )


def confusions(each: Edits, most: int = 20) -> tuple[tuple[str, str, int], ...]:
    """The most frequent mistakes: reference, said, how often; "" for nothing."""
    counted = Counter((a or "", b or "") for a, b in each.pairs)
    ordered = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    return tuple((a, b, number) for (a, b), number in ordered[:most])


def _ways(reference: Sequence[str], said: Sequence[str]) -> tuple[Bits, Bits]:
    """Where a fewest number of edits may come from, in bits: (R, S) from both sides' last token, (R, S + 1) from the
    reference's alone. A row of numbers at a time: insertions are a running minimum."""
    known = {token: k for k, token in enumerate(dict.fromkeys([*reference, *said]))}
    a, b = (np.array([known[token] for token in one], np.int64) for one in (reference, said))
    steps = np.arange(len(b) + 1)
    both = np.empty((len(a), (len(b) + 7) // 8), np.uint8)
    alone = np.empty((len(a), (len(b) + 8) // 8), np.uint8)
    before = steps
    for i in range(len(a)):
        row = before + 1
        changed = before[:-1] + (b != a[i])
        row[1:] = np.minimum(row[1:], changed)
        row = np.minimum.accumulate(row - steps) + steps
        both[i], alone[i] = np.packbits(row[1:] == changed), np.packbits(row == before + 1)
        before = row
    return both, alone


def _bit(row: NDArray[np.uint8], k: int) -> int:
    return int(row[k >> 3]) >> (7 - (k & 7)) & 1
