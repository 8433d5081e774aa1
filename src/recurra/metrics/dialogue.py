"""How good replies are, beside how probable: whether they differ, how long they are, how many are dull, and whether the
right one is found among others.

distinct_1, distinct_2   different words, and pairs of words, by all of them in all replies (Li et al. 2016,
                         arXiv:1510.03055, section 5.3, who divide pairs by the number of words)
length_ratio             words of the replies by words of the right ones
dull_share               replies that are among those that training had most often, so that they fit anything
recall_at_k              rows whose right reply is among the k best of so many (Lowe et al. 2015, arXiv:1506.08909)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from recurra.base.contracts import Score
from recurra.metrics.tfidf import words_of

# Candidates of a row, the right one among them; and which ranks are told.
CANDIDATES, RANKS = 10, (1, 5)
# Replies that training had most often, and how often one of them stood there at least.
MOST_FREQUENT, TWICE = 50, 2


def distinct(texts: Iterable[str], n: int) -> float:
    """Different runs of n words by all of them, in all texts together; 0 where there are none."""
    runs = [run for text in texts for run in _runs(text.lower().split(), n)]
    return len(set(runs)) / max(len(runs), 1)


def length_ratio(texts: Sequence[str], references: Sequence[str]) -> float:
    """Words of texts by words of references."""
    return sum(len(one.split()) for one in texts) / max(sum(len(one.split()) for one in references), 1)


def plain(text: str) -> str:
    """A reply as it is compared: its words in lower case."""
    return " ".join(words_of(text))


def dull_replies(replies: Iterable[str]) -> tuple[str, ...]:
    """The replies that stand most often, twice at least, as `plain` has them; the most frequent first."""
    counts = Counter(map(plain, replies))
    found = sorted(((-n, text) for text, n in counts.items() if n >= TWICE and text))
    return tuple(text for _, text in found[:MOST_FREQUENT])


def dull_share(texts: Sequence[str], dull: Iterable[str]) -> float:
    """The share of texts that say one of these, 0..1."""
    known = set(dull)
    return sum(plain(text) in known for text in texts) / max(len(texts), 1)


def rank_of(right: float, others: Sequence[float]) -> int:
    """The place of the right one, from 1, by a number of which the greatest is best.

    Equal ones stand before it, and so do those that cannot be compared: a model that says NaN has found nothing.
    """
    return 1 + sum(not other < right for other in others)


def recalls(ranks: Sequence[int], split: str) -> tuple[Score, ...]:
    """recall_at_1 and recall_at_5 of rows whose right reply has these places; none without rows."""
    return tuple(
        Score(f"recall_at_{k}", sum(rank <= k for rank in ranks) / len(ranks), "0..1", "higher", split)
        for k in RANKS
        if ranks
    )


def reply_scores(texts: Sequence[str], references: Sequence[str], dull: Sequence[str], split: str) -> tuple[Score, ...]:
    """How much replies say."""
    return (
        *(Score(f"distinct_{n}", distinct(texts, n), "0..1", "higher", split) for n in (1, 2)),
        Score("length_ratio", length_ratio(texts, references), "of 1", "neither", split),
        Score("dull_share", dull_share(texts, dull), "0..1", "lower", split),
    )


def _runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
