"""Precision and recall by distances in time: how much nearer alarms and anomalies are than random points would be.

Each labelled range has a zone, up to the middle between it and the next. A flagged moment x of a zone counts as the
probability that a random moment of the zone is further from the range; precision is the mean over flagged moments, then
over zones with flags. A labelled moment y counts as the probability that a random moment is further from y than the
nearest flag of the zone; recall is the mean over the range, then over ranges. 1 is perfect, random flags have 1/2.
Steps are intervals [t, t + 1). Means are integrals of broken lines, which are exact.
Source: Huet et al. 2022, arXiv:2206.13167, equations 1 to 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recurra.metrics.anomalies.ranges import PrecisionRecall, ranges_of

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def affiliation(labels: Flags, flags: Flags) -> PrecisionRecall:
    """Of flags (T,) beside labels (T,); 0 where nothing is flagged. Raises ValueError where nothing is labelled."""
    starts, ends = _intervals(labels)
    if not len(starts):
        raise ValueError("affiliation: expected a labelled point, got none.")
    zones = np.r_[0.0, (ends[:-1] + starts[1:]) / 2, len(labels)]
    p, q = _intervals(flags)
    if not len(p):
        return PrecisionRecall(0.0, 0.0)
    return PrecisionRecall(_precision(starts, ends, zones, p, q), _recall(starts, ends, zones, p, q))


def _intervals(flags: Flags) -> tuple[Floats, Floats]:
    first, last = ranges_of(flags)
    return first.astype(np.float64), last.astype(np.float64) + 1


def _cut(p: Floats, q: Floats, at: Floats) -> tuple[Floats, Floats]:
    """Intervals [p, q), cut where points lie inside of them."""
    inside = at[_holds(p, q, at)]
    return np.sort(np.r_[p, inside]), np.sort(np.r_[q, inside])


def _holds(p: Floats, q: Floats, at: Floats) -> Flags:
    k = np.searchsorted(p, at) - 1  # the last interval that begins before the point
    return np.asarray((k >= 0) & (at < q[np.maximum(k, 0)]))


def _precision(starts: Floats, ends: Floats, zones: Floats, p: Floats, q: Floats) -> float:
    u, v = _cut(p, q, np.unique(np.r_[zones[1:-1], starts, ends]))
    zone = np.searchsorted(zones, (u + v) / 2) - 1
    a, b, e0, e1 = starts[zone], ends[zone], zones[zone], zones[zone + 1]
    behind, before = u >= b, v <= a
    # At distance d behind the range, e1 - b - d moments behind are further, and a - e0 - d before it, or none.
    d0 = np.where(behind, u - b, np.where(before, a - v, 0.0))
    d1 = np.where(behind, v - b, np.where(before, a - u, 0.0))
    own, other = np.where(behind, e1 - b, a - e0), np.where(behind, a - e0, e1 - b)
    outside = (_falling(own, d0, d1) + _falling(other, d0, d1)) / (e1 - e0)
    reward = np.where(behind | before, outside, v - u)
    n = len(starts)
    flagged = np.bincount(zone, v - u, n)
    some = flagged > 0
    return float(np.mean(np.bincount(zone, reward, n)[some] / flagged[some]))


def _falling(height: Floats, low: Floats, high: Floats) -> Floats:
    """The integral of max(height - d, 0) for d from low to high."""
    low, high = np.minimum(low, height), np.minimum(high, height)
    found: Floats = height * (high - low) - (high**2 - low**2) / 2
    return found


def _recall(starts: Floats, ends: Floats, zones: Floats, p: Floats, q: Floats) -> float:
    u, v = _cut(starts, ends, np.r_[p, q])
    k = np.searchsorted(starts, u, "right") - 1
    e0, e1 = zones[k], zones[k + 1]
    middle = (u + v) / 2
    last, after = np.searchsorted(p, middle) - 1, np.searchsorted(p, middle)
    covered = (last >= 0) & (middle < q[np.maximum(last, 0)])
    left = np.where(last >= 0, q[np.maximum(last, 0)], -np.inf)
    right = np.where(after < len(p), p[np.minimum(after, len(p) - 1)], np.inf)
    has_left, has_right = left > e0, right < e1
    with np.errstate(invalid="ignore"):  # of two that are both infinite
        turn = np.where(has_left & has_right, (left + right) / 2, np.where(has_left, np.inf, -np.inf))
    turn = np.clip(turn, u, v)
    from_left = np.where(has_left, _nearer(u, turn, np.where(has_left, left, u), e0, e1), 0.0)
    mirrored = _nearer(-v, -turn, np.where(has_right, -right, -v), -e1, -e0)
    from_right = np.where(has_right, mirrored, 0.0)
    reward = np.where(covered, v - u, from_left + from_right)
    return float(np.mean(np.bincount(k, reward, len(starts)) / (ends - starts)))


def _nearer(u: Floats, v: Floats, flag: Floats, e0: Floats, e1: Floats) -> Floats:
    """The integral, for y from u to v, of the probability that a moment of [e0, e1) is further from y than the flag.

    flag: before u. What is nearer reaches from the flag to 2 y - flag, or to the end of the zone.
    """
    bend = np.clip((e1 + flag) / 2, u, v)
    near = (bend - flag) ** 2 - (u - flag) ** 2 + (e1 - flag) * (v - bend)
    found: Floats = (v - u) - near / (e1 - e0)
    return found
