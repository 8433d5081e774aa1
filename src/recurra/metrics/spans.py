"""Precision, recall and F1 of spans: a span is right if its label, its start and its end are.

Source: the CoNLL-2000 script conlleval; seqeval 1.2.2, which adds per sentence. How tags are read as spans, strictly or
by default, is said by `recurra.data.schemes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from recurra.base.contracts import Score, Table
from recurra.metrics.rates import Counts, micro, per_label

Spans = Sequence[tuple[str, int, int]]
KINDS = (
    "right",
    "right place, wrong label",
    "overlaps, right label",
    "overlaps, wrong label",
    "missed",
    "not there",
)


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
    return (*micro(Counts(*arrays), split), *per_label(Counts(*known), names, split, unit="spans"))


def span_mistakes(gold: Sequence[Spans], predicted: Sequence[Spans]) -> Table:
    """How true spans fared, each counted once by the first that applies; then predicted ones that touch no true one."""
    counts: Counter[str] = Counter()
    for true, said in zip(gold, predicted, strict=True):
        counts.update(_fate(span, said) for span in true)
        counts["not there"] += sum(not any(_touch(span, other) for other in true) for span in said)
    total = sum(map(len, gold))
    rows = tuple((kind, counts[kind], counts[kind] / max(total, 1)) for kind in KINDS)
    return Table("What became of the spans", ("kind", "spans", "of true spans"), rows)


def _fate(span: tuple[str, int, int], said: Spans) -> str:
    if span in said:
        return "right"
    near = [other for other in said if _touch(span, other)]
    if any(other[1:] == span[1:] for other in near):
        return "right place, wrong label"
    if any(other[0] == span[0] for other in near):
        return "overlaps, right label"
    return "overlaps, wrong label" if near else "missed"


def _touch(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _labels(spans: Iterable[tuple[str, int, int]]) -> Counter[str]:
    return Counter(label for label, _, _ in spans)
