"""Precision, recall and F1 from counts, shared by single-label and multi-label scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.base.contracts import Score

# A probability of 0 for what happened would cost infinitely much; 2.2e-16 caps it at 36.04 nats (scikit-learn's cap).
SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Of each label: how often it was rightly predicted (hits), predicted at all, and true (support). (K,) each."""

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    support: NDArray[np.int64]


def share(part: Any, whole: Any) -> NDArray[np.float64]:
    """part / whole, and 0 where whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result: NDArray[np.float64] = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return result


def nats(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log p of what happened, at most 36.04 nats each."""
    return -np.log(np.clip(probabilities, SMALLEST, 1.0))


def micro(counts: Counts, split: str) -> Iterator[Score]:
    """All labels' counts added first, then divided: every decision weighs the same."""
    total = Counts(*(np.asarray(c.sum()) for c in (counts.hits, counts.predicted, counts.support)))
    for name, value in _rates(total):
        yield Score(f"{name}_micro", float(value), "0..1", "higher", split)


def macro(counts: Counts, split: str) -> Iterator[Score]:
    """Divided first, then averaged over labels: every label weighs the same."""
    for name, values in _rates(counts):
        yield Score(f"{name}_macro", float(values.mean()), "0..1", "higher", split)


def per_label(counts: Counts, names: Sequence[str], split: str, *, unit: str = "rows") -> Iterator[Score]:
    """precision[x], recall[x], f1[x] (0..1) and support[x] (in `unit`) of every label x."""
    rates = _rates(counts)
    for k, label in enumerate(names):
        for name, values in rates:
            yield Score(f"{name}[{label}]", float(values[k]), "0..1", "higher", split)
        yield Score(f"support[{label}]", float(counts.support[k]), unit, "neither", split)


def unknown_labels(support: NDArray[np.int64], num_labels: int, split: str) -> Iterator[Score]:
    """How many gold labels were outside the label set; nothing where all were known."""
    if support[num_labels:].any():
        yield Score("unknown_labels", float(support[num_labels:].sum()), "labels", "lower", split)


def _rates(counts: Counts) -> tuple[tuple[str, NDArray[np.float64]], ...]:
    return (
        ("precision", share(counts.hits, counts.predicted)),
        ("recall", share(counts.hits, counts.support)),
        ("f1", share(2 * counts.hits, counts.predicted + counts.support)),
    )
