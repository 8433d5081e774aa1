"""Precision, recall and F1 of spans: a span is right if its label, its start and its end are.

Source: the CoNLL-2000 script conlleval; seqeval 1.2.2, which adds per sentence. How tags are read as spans, strictly or
by default, is said by `recurra.data.schemes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from recurra.base.contracts import Score
from recurra.metrics.rates import Counts, micro, per_label

Spans = Sequence[tuple[str, int, int]]


def span_scores(gold: Sequence[Spans], predicted: Sequence[Spans], split: str) -> tuple[Score, ...]:
    """Micro averages, then precision, recall, F1 and support (spans) of every label of the gold spans.

    gold, predicted: the spans of each sentence, each (label, start, end)
    """
    counts = [
        _labels(span for one, other in zip(gold, predicted, strict=True) for span in set(one) & set(other)),
        _labels(span for one in predicted for span in one),
        _labels(span for one in gold for span in one),
    ]
    names = sorted(counts[2])
    extra = sorted(set(counts[1]) - set(names))
    arrays = [np.array([count[name] for name in (*names, *extra)], dtype=np.int64) for count in counts]
    known = [array[: len(names)] for array in arrays]
    return (*micro(Counts(*arrays), split), *per_label(Counts(*known), names, split))


def _labels(spans: Iterable[tuple[str, int, int]]) -> Counter[str]:
    return Counter(label for label, _, _ in spans)
