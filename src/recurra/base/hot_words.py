"""Words that are likelier in speech than others, as one line has them: `recurra=3,Kaldi=2`."""

from __future__ import annotations

import math


def hot_words(text: str) -> dict[str, float]:
    """Words with their nats. Raises ValueError, a clause that begins with `expected`, for anything else."""
    try:
        pairs = [(word.strip(), float(nats)) for word, nats in (part.rsplit("=", 1) for part in text.split(","))]
    except ValueError:
        pairs = []
    found = dict(pairs)
    if not pairs or not all(word and math.isfinite(nats) for word, nats in pairs):
        raise ValueError(f"expected words with their nats, such as recurra=3,Kaldi=2, got {text[:100]!r}")
    if len(found) < len(pairs):
        raise ValueError(f"expected each word once, got {text[:100]!r}")
    return found
