"""Average precision in loops, from COCO's definition: for each recall, the best precision that reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Box = tuple[float, float, float, float]


def iou(a: Box, b: Box) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else 0.0
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def average_precision(truth: Sequence[tuple[int, Box]], said: Sequence[tuple[int, Box, float]], least: float) -> float:
    """truth: (picture, box)      said: (picture, box, how sure), no two alike"""
    ranked, taken, marks = sorted(said, key=lambda one: -one[2]), set(), []
    for picture, box, _ in ranked:
        best, place = least, None
        for k, (other, true_box) in enumerate(truth):
            if other == picture and k not in taken and iou(box, true_box) >= best:
                best, place = iou(box, true_box), k
        taken.add(place)
        marks.append(place is not None)
    points = []
    for end in range(1, len(marks) + 1):
        hits = sum(marks[:end])
        points.append((Fraction(hits, len(truth)), Fraction(hits, end)))
    total = 0.0
    for k in range(101):
        total += float(max((p for recall, p in points if recall >= Fraction(k, 100)), default=Fraction(0)))
    return total / 101
