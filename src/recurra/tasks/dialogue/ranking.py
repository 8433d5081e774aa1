"""Whether the right reply is found among others: by a model that says how probable each is, and by shared words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from recurra.base.contracts import Score
from recurra.metrics.dialogue import rank_of, recalls
from recurra.metrics.tfidf import WordWeights
from recurra.tasks.dialogue.exchanges import Exchange
from recurra.tasks.translation.batches import collated
from recurra.tasks.translation.losses import forced_rows
from recurra.tasks.translation.pairs import wanted

# Candidates that are judged together.
ROWS = 200


def ranks_of(model: torch.nn.Module, examples: Sequence[Exchange], device: torch.device) -> list[int | None]:
    """The place of each right reply by its mean log-probability a token, from 1; None of a row without others."""
    asked = [place for place, one in enumerate(examples) if one.others]
    pairs = [replace(examples[k].pair, wanted=one) for k in asked for one in _candidates(examples[k])]
    order = sorted(range(len(pairs)), key=lambda k: (pairs[k].length, k))  # like lengths: little padding
    means: list[float] = [0.0] * len(pairs)
    for at in range(0, len(order), ROWS):
        some = order[at : at + ROWS]
        batch = collated([pairs[k] for k in some], range(len(some))).to(device)
        for k, row in zip(some, forced_rows(model(batch), batch), strict=True):
            means[k] = -row.nats / row.count
    found: list[int | None] = [None] * len(examples)
    at = 0
    for place in asked:
        number = 1 + len(examples[place].others)
        right, *others = means[at : at + number]
        found[place] = rank_of(right, others)
        at += number
    return found


def by_words(train: Sequence[Exchange], rows: Sequence[Exchange], split: str) -> tuple[Score, ...]:
    """The same by the words that a reply shares with its context, weighed by how few replies of training have them."""
    weights = WordWeights(wanted(one.pair).text for one in train)
    return recalls([_rank(weights, one) for one in rows if one.others], split)


def _rank(weights: WordWeights, example: Exchange) -> int:
    right, *others = (weights.cosine(example.pair.text, one.text) for one in _candidates(example))
    return rank_of(right, others)


def _candidates(example: Exchange) -> tuple[Any, ...]:
    return (wanted(example.pair), *example.others)
