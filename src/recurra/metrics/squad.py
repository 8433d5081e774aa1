"""Exact match and F1 of short answers, as the official scripts of SQuAD 1.1 and 2.0 count them.

Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1; Rajpurkar et al. 2018, arXiv:1806.03822. Answers are compared in
lower case, without ASCII punctuation and the articles a, an, the; of several right answers the one counts that is
nearest. F1 is that of words, an answer being a bag of them. Where some questions have no answer, 2.0 is in force: an
answer that is no more than an article counts as none, and nothing beside nothing is right.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from recurra.base.contracts import Score

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# The right answers to one question; none where there is no answer.
Golds = Sequence[str]
Measure = Callable[[str, str], float]


def normalized(answer: str) -> str:
    """An answer as it is compared: lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact(said: str, gold: str) -> float:
    """1 where both are the same as they are compared, else 0."""
    return float(normalized(said) == normalized(gold))


def f1(said: str, gold: str) -> float:
    """2 PR / (P + R) of the words, 0..1; 0 where no word is in both."""
    ours, theirs = normalized(said).split(), normalized(gold).split()
    same = (Counter(ours) & Counter(theirs)).total()
    if not same:
        return 0.0
    precision, recall = same / len(ours), same / len(theirs)
    return 2 * precision * recall / (precision + recall)


def f1_or_none(said: str, gold: str) -> float:
    """The same as 2.0 has it: of answers that are nothing, as they are compared, 1 for two of them and 0 for one."""
    if not normalized(said) or not normalized(gold):
        return exact(said, gold)
    return f1(said, gold)


def best(measure: Measure, said: str, golds: Golds, *, nulls: bool) -> float:
    """The measure beside the right answer that is nearest. nulls: whether 2.0 is in force"""
    if nulls:
        golds = [gold for gold in golds if normalized(gold)] or [""]
    return max((measure(said, gold) for gold in golds), default=0.0)


def answer_quality(said: str, golds: Golds, *, nulls: bool) -> tuple[float, float]:
    """Exact match and F1 of one answer, 0..1."""
    return best(exact, said, golds, nulls=nulls), best(f1_or_none if nulls else f1, said, golds, nulls=nulls)


def answer_scores(said: Sequence[str], golds: Sequence[Golds], split: str) -> tuple[Score, ...]:
    """exact_match and f1 over all questions; where some have no answer, also of those that have one, and of the others.

    said: "" for no answer. Of questions without an answer both are the share that was left unanswered.
    """
    nulls = not all(golds)
    each = [answer_quality(one, right, nulls=nulls) for one, right in zip(said, golds, strict=True)]
    found = list(_means("", each, split))
    if nulls:
        found += _means("answered_", [one for one, right in zip(each, golds, strict=True) if right], split)
        found += [
            score
            for score in _means(
                "unanswered_", [one for one, right in zip(each, golds, strict=True) if not right], split
            )
            if score.name != "unanswered_f1"  # the same as its exact match
        ]
    return tuple(found)


def _means(name: str, each: Sequence[tuple[float, float]], split: str) -> list[Score]:
    number = max(len(each), 1)
    totals = {"exact_match": sum(one for one, _ in each), "f1": sum(one for _, one in each)}
    return [Score(f"{name}{word}", total / number, "0..1", "higher", split) for word, total in totals.items()]


def best_threshold(gaps: Sequence[float], qualities: Sequence[float], answerable: Sequence[bool]) -> float:
    """Above which gap between no answer and the best one a question is best left unanswered.

    gaps: score of no answer less that of the best one      qualities: of the best one, 0..1, where there is an answer
    The sum of the qualities of those answered and of 1 for each that is rightly left is greatest; of several such
    thresholds it is the lowest above 0, or else the highest. Between two gaps it is their mean.
    """
    rows = sorted(zip(gaps, qualities, answerable, strict=True), key=lambda row: row[0])
    score = float(sum(not known for *_, known in rows))
    places = _between([gap for gap, *_ in rows])
    found = [(score, places[0])]
    for number, (_, quality, known) in enumerate(rows, start=1):
        score += quality if known else -1.0
        if number == len(rows) or rows[number][0] > rows[number - 1][0]:
            found.append((score, places[number]))
    top = max(score for score, _ in found)
    good = [place for score, place in found if score >= top - 1e-9]
    return min(good, key=lambda place: (place < 0, abs(place)))


def _between(gaps: Sequence[float]) -> list[float]:
    """A place below all, between each two, and above all."""
    if not gaps:
        return [0.0]
    inner = [(one + other) / 2 for one, other in pairwise(gaps)]
    return [gaps[0] - 1.0, *inner, gaps[-1] + 1.0]
