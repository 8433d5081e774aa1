"""What is scored of a masked language model, and what a report shows of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from recurra.base.contracts import Score
from recurra.tasks.language_model.scoring import perplexity


def masked_scores(nats: Iterable[float], right: int, count: int, split: str) -> tuple[Score, ...]:
    """Perplexity and nats of a hidden piece, and how many are told right. nats, right: of all, `count` of them"""
    total = math.fsum(nats)
    return (
        Score("perplexity", perplexity(total, count), "per token", "lower", split),
        Score("log_loss", total / max(count, 1), "nats", "lower", split),
        Score("accuracy", right / max(count, 1), "0..1", "higher", split),
    )


def pair_scores(told: Sequence[tuple[float, bool]], split: str) -> tuple[Score, ...]:
    """Of pairs: nats of what each is, and how many are told right. told: both, of each pair"""
    count = max(len(told), 1)
    return (
        Score("pair_log_loss", math.fsum(nats for nats, _ in told) / count, "nats", "lower", split),
        Score("pair_accuracy", sum(right for _, right in told) / count, "0..1", "higher", split),
    )
