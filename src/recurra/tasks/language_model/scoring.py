"""Scores of a text: nats of all its tokens together, by token and by character."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from recurra.base.contracts import Score

# exp of more is no float; a model that bad has no finite perplexity.
MOST_NATS = 700


def perplexity(nats: float, count: int) -> float:
    """exp of the mean nats of `count` tokens; 1 for none."""
    mean = nats / max(count, 1)
    return math.exp(mean) if mean < MOST_NATS else math.inf


def text_scores(nats: Iterable[float], *, count: int, characters: int, split: str) -> tuple[Score, ...]:
    """Perplexity a token, bits a character, nats a token. nats: of each of `count` targets, or sums of them.

    Bits a character compare models with different tokens; unknown tokens and lower case make them too good.
    """
    total = math.fsum(nats)
    return (
        Score("perplexity", perplexity(total, count), "per token", "lower", split),
        Score("bits_per_character", total / math.log(2) / max(characters, 1), "bits", "lower", split),
        Score("log_loss", total / max(count, 1), "nats", "lower", split),
    )


def doubling_bins(places: Sequence[int], nats: Sequence[float]) -> list[tuple[int, int, int, float]]:
    """(from, to, how many, mean nats) for places 0, 1, 2-3, 4-7, ...; those without any are left out."""
    bins: dict[int, list[float]] = {}
    for place, value in zip(places, nats, strict=True):
        bins.setdefault(place.bit_length(), []).append(value)
    return [
        ((1 << b) >> 1, (1 << b) - 1, len(values), math.fsum(values) / len(values))
        for b, values in sorted(bins.items())
    ]
