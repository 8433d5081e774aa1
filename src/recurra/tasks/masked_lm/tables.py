"""What is scored of a masked language model, and what a report shows of it."""

from __future__ import annotations

import math
from collections.abc import Iterable

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
