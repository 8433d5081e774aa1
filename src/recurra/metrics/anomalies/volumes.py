"""Volumes under the curves of precision and recall, and of ROC, over how far from an anomaly an alarm still counts.

A buffer of w steps gives points that are d steps outside a labelled range the label sqrt(1 - d / w), for d up to w // 2
(w // 2 is where ranges meet and count as one). With TP = sum of labels of flagged points, and
P(w) = P + 1/2 sum of labels of flagged points in buffers:
    recall = min(TP / P(w), 1) * share of ranges with a flag in them or their buffers
    precision = TP / flagged      FPR = (flagged - TP) / (T - P(w))
Both areas are means over w = 0 ... W, at 250 thresholds, which are order statistics of the scores.

Source: Paparrizos et al. 2022, "Volume Under the Surface", PVLDB 15(11), section 4; with P(w) and the thresholds as
TSB-AD (Liu & Paparrizos 2024) has them, whose tables these figures stand beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.metrics.anomalies.ranges import Ints, ranges_of

THRESHOLDS = 250
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Volumes:
    """Both areas, 0..1."""

    pr: float
    roc: float


def volumes(labels: Flags, scores: Floats, window: int) -> Volumes:
    """VUS-PR and VUS-ROC of scores (T,), higher is worse. labels: (T,), some true      window: W, the widest buffer

    NaN where a score is, which has no place among the others.
    A sort of the scores and of the distances, O(T log T), and W^2 sums over 250 thresholds, whatever the ranges are.
    """
    if np.isnan(scores).any():
        return Volumes(float("nan"), float("nan"))
    starts, ends = ranges_of(labels)
    bins = _bins(scores)
    flagged = np.cumsum(np.bincount(bins, minlength=THRESHOLDS))
    hits = np.cumsum(np.bincount(bins[labels], minlength=THRESHOLDS))
    buffers, reached = _buffers(labels, bins, starts, ends, window), _reached(bins, starts, ends, window)
    areas = [
        _areas(hits, flagged, buffers[w], reached[w // 2], int(labels.sum()), len(labels)) for w in range(window + 1)
    ]
    pr, roc = np.mean(areas, axis=0).tolist()
    return Volumes(pr, roc)


def _bins(scores: Floats) -> Ints:
    """(T,) the first threshold, from the highest on, at which each point is flagged."""
    places = np.linspace(0, len(scores) - 1, THRESHOLDS).astype(np.int64)
    rising = np.sort(scores)[::-1][places][::-1]
    return (THRESHOLDS - np.searchsorted(rising, scores, "right")).astype(np.int64)


def _buffers(labels: Flags, bins: Ints, starts: Ints, ends: Ints, window: int) -> Floats:
    """(W + 1, K) the labels in buffers of w steps that are flagged at each threshold, summed.

    A label from two ranges is at least 2 sqrt(1/2), so it is 1: the nearest range and the next one say it all.
    """
    found = np.zeros((window + 1, THRESHOLDS))
    points, near, next_near = _distances(labels, starts, ends, window // 2)
    bin_of = bins[points]
    alone = np.zeros((window // 2 + 1, THRESHOLDS))  # points at each distance that one range alone reaches
    both = np.zeros(THRESHOLDS)
    by_near, by_next = np.argsort(near, kind="stable"), np.argsort(next_near, kind="stable")
    near_ends = np.searchsorted(near[by_near], np.arange(window // 2 + 1), "right")
    next_ends = np.searchsorted(next_near[by_next], np.arange(window // 2 + 1), "right")
    for half in range(1, window // 2 + 1):
        new = by_near[near_ends[half - 1] : near_ends[half]]
        alone[half] += np.bincount(bin_of[new], minlength=THRESHOLDS)
        shared = by_next[next_ends[half - 1] : next_ends[half]]
        np.subtract.at(alone, (near[shared], bin_of[shared]), 1)
        both += np.bincount(bin_of[shared], minlength=THRESHOLDS)
        for w in {2 * half, min(2 * half + 1, window)}:
            weights = np.sqrt(1 - np.arange(1, half + 1) / w)
            found[w] = np.cumsum(weights @ alone[1 : half + 1] + both)
    return found


def _distances(labels: Flags, starts: Ints, ends: Ints, half: int) -> tuple[Ints, Ints, Ints]:
    """Points outside ranges that are at most `half` steps from one; the steps to the nearest range, and to the next."""
    far = len(labels) + 1
    points = _near_points(labels, starts, ends, half)
    after = np.searchsorted(starts, points)  # the first range behind each point
    padded_starts, padded_ends = np.r_[starts, [3 * far] * 2], np.r_[[-2 * far] * 2, ends]
    four = np.stack(
        [
            points - padded_ends[after + 1],
            points - padded_ends[after],
            padded_starts[after] - points,
            padded_starts[after + 1] - points,
        ]
    )
    four.partition(1, axis=0)
    return points, four[0], four[1]


def _near_points(labels: Flags, starts: Ints, ends: Ints, half: int) -> Ints:
    """Points outside ranges, at most `half` steps from one."""
    edges = np.zeros(len(labels) + 1, np.int64)
    np.add.at(edges, np.maximum(starts - half, 0), 1)
    np.subtract.at(edges, np.minimum(ends + half + 1, len(labels)), 1)
    return np.flatnonzero((np.cumsum(edges[:-1]) > 0) & ~labels)


def _reached(bins: Ints, starts: Ints, ends: Ints, window: int) -> Floats:
    """(W // 2 + 1, K) the share of ranges, joined where their buffers meet, with a flag in them or their buffers."""
    T = len(bins)
    edges = np.stack([starts, ends + 1], 1).ravel()
    first = np.minimum.reduceat(np.r_[bins, THRESHOLDS], edges)[::2]  # the first threshold that finds each range
    gaps = starts[1:] - ends[:-1]
    found = np.zeros((window // 2 + 1, THRESHOLDS))
    for half in range(window // 2 + 1):
        if half:
            sides = np.minimum(bins[np.maximum(starts - half, 0)], bins[np.minimum(ends + half, T - 1)])
            first = np.minimum(first, sides)
        heads = np.flatnonzero(np.r_[True, gaps > 2 * half])
        joined = np.minimum.reduceat(first, heads)
        found[half] = np.cumsum(np.bincount(joined, minlength=THRESHOLDS)) / len(heads)
    return found


def _areas(hits: Ints, flagged: Ints, buffer: Floats, reached: Floats, P: int, T: int) -> tuple[float, float]:
    """The areas for one buffer: average precision, and ROC by trapezia, each from nothing flagged on."""
    TP, wide = hits + buffer, P + buffer / 2
    recall = np.r_[0.0, np.minimum(TP / wide, 1) * reached]
    fpr = np.r_[0.0, (flagged - TP) / (T - wide), 1.0]
    pr = np.sum(np.diff(recall) * (TP / flagged))
    up = np.r_[recall, 1.0]
    return float(pr), float(np.sum(np.diff(fpr) * (up[1:] + up[:-1]) / 2))
