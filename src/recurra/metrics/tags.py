"""Scores and tables of tags, one for each token of a sentence; tags are compared as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score, Table
from recurra.metrics.rates import Counts, macro, per_label

TagRows = Sequence[Sequence[str]]
MOST_CONFUSED = 15


def tag_scores(gold: TagRows, predicted: TagRows, unseen: Sequence[Sequence[bool]], split: str) -> tuple[Score, ...]:
    """token_accuracy: tokens with the right tag; unseen_accuracy: of those that training never saw, if there are some;
    sentence_accuracy: sentences in which every tag is right. All 0..1.

    unseen: for each token, whether its word is not in the training data
    """
    right = [
        one == other for row, said in zip(gold, predicted, strict=True) for one, other in zip(row, said, strict=True)
    ]
    new = [hit for hit, strange in zip(right, chain.from_iterable(unseen), strict=True) if strange]
    whole = [list(row) == list(said) for row, said in zip(gold, predicted, strict=True)]
    found = [Score("token_accuracy", _share(right), "0..1", "higher", split)]
    if new:
        found.append(Score("unseen_accuracy", _share(new), "0..1", "higher", split))
    return (*found, Score("sentence_accuracy", _share(whole), "0..1", "higher", split))


def per_tag_scores(gold: TagRows, predicted: TagRows, split: str) -> tuple[Score, ...]:
    """precision_macro, recall_macro and f1_macro over the tags that occur or are predicted; then those of each tag of
    the gold tags, with its support (tokens)."""
    names = _names(gold, predicted)
    matrix = _matrix(_pairs(gold, predicted), names)
    counts = Counts(hits=matrix.diagonal(), predicted=matrix.sum(0), support=matrix.sum(1))
    known = [k for k in range(len(names)) if counts.support[k]]
    of_gold = Counts(counts.hits[known], counts.predicted[known], counts.support[known])
    return (*macro(counts, split), *per_label(of_gold, [names[k] for k in known], split, unit="tokens"))


def tag_confusion(gold: TagRows, predicted: TagRows) -> Table:
    """How often each tag was given for each true one, in tokens: rows are true tags, columns predicted ones."""
    names = _names(gold, predicted)
    matrix = _matrix(_pairs(gold, predicted), names).tolist()
    return Table(
        "Confusion matrix of tokens: rows are true tags, columns are predictions",
        ("true \\ predicted", *names),
        tuple((name, *counts) for name, counts in zip(names, matrix, strict=True)),
    )


def most_confused_tags(gold: TagRows, predicted: TagRows, tokens: Sequence[Sequence[str]]) -> Table:
    """The pairs (true, predicted) that were mistaken most often, with their share of the true tag, and the words on
    which it happened most."""
    pairs = _pairs(gold, predicted)
    support = Counter(chain.from_iterable(gold))
    words: dict[tuple[str, str], Counter[str]] = {}
    for row, said, sentence in zip(gold, predicted, tokens, strict=True):
        for one, other, word in zip(row, said, sentence, strict=True):
            if one != other:
                words.setdefault((one, other), Counter())[word] += 1
    wrong = sorted(((n, pair) for pair, n in pairs.items() if pair[0] != pair[1]), key=lambda one: (-one[0], one[1]))
    rows = tuple(
        (*pair, number, number / support[pair[0]], ", ".join(_first(words[pair])))
        for number, pair in wrong[:MOST_CONFUSED]
    )
    return Table("Most confused tags", ("true", "predicted", "tokens", "share", "words"), rows)


def _first(words: Counter[str]) -> Iterator[str]:
    for word, number in sorted(words.items(), key=lambda one: (-one[1], one[0]))[:5]:
        yield word if number == 1 else f"{word} ({number})"


def _pairs(gold: TagRows, predicted: TagRows) -> Counter[tuple[str, str]]:
    return Counter(zip(chain.from_iterable(gold), chain.from_iterable(predicted), strict=True))


def _names(gold: TagRows, predicted: TagRows) -> list[str]:
    return sorted({tag for rows in (gold, predicted) for row in rows for tag in row})


def _matrix(pairs: Counter[tuple[str, str]], names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: k for k, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for (one, other), number in pairs.items():
        matrix[place[one], place[other]] = number
    return matrix


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / max(len(hits), 1)
