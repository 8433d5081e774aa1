"""Joints and movements in float64 loops, from their definitions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def relative(frames: Sequence[Sequence[Sequence[float]]], roots: Sequence[int]) -> list[list[list[float]]]:
    """Each joint minus the mean of the roots of its own frame."""
    found = []
    for frame in frames:
        middle = [sum(frame[j][a] for j in roots) / len(roots) for a in range(len(frame[0]))]
        found.append([[joint[a] - middle[a] for a in range(len(joint))] for joint in frame])
    return found


def size(frames: Sequence[Sequence[Sequence[float]]]) -> float:
    """The median over frames of the root mean square length of the joints' vectors."""
    return statistics.median(math.sqrt(sum(sum(v * v for v in joint) for joint in f) / len(f)) for f in frames)


def turned_around_y(point: Sequence[float], angle: float) -> list[float]:
    """x' = x cos a + z sin a, z' = -x sin a + z cos a."""
    x, y, z = point
    return [x * math.cos(angle) + z * math.sin(angle), y, -x * math.sin(angle) + z * math.cos(angle)]
