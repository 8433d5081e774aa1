"""Scores of anomaly detection in NumPy float64 loops, from the papers; shares nothing with src/."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def runs(flags):
    """(first, last) of each run of true values."""
    found, t = [], 0
    while t < len(flags):
        if flags[t]:
            first = t
            while t + 1 < len(flags) and flags[t + 1]:
                t += 1
            found.append((first, t))
        t += 1
    return found


def volumes(labels, scores, window):
    """(VUS-PR, VUS-ROC): Paparrizos et al. 2022, section 4, with 250 order statistics as thresholds."""
    T, P, ranges = len(labels), sum(labels), runs(labels)
    ordered = sorted(scores, reverse=True)
    thresholds = [ordered[int(k)] for k in np.linspace(0, T - 1, 250)]
    areas = []
    for w in range(window + 1):
        half = w // 2
        soft = [float(label) for label in labels]
        for first, last in ranges:
            for d in range(1, half + 1):
                for t in (first - d, last + d):
                    if 0 <= t < T:
                        soft[t] = min(1.0, soft[t] + np.sqrt(1 - d / w))
        joined = []
        for first, last in ranges:
            if joined and joined[-1][1] + half >= first - half:
                joined[-1] = (joined[-1][0], last)
            else:
                joined.append((first, last))
        recalls, precisions, fprs = [0.0], [], [0.0]
        for threshold in thresholds:
            flags = [score >= threshold for score in scores]
            tp = sum(label for label, flag in zip(soft, flags, strict=True) if flag)
            in_buffers = sum(s for s, flag, label in zip(soft, flags, labels, strict=True) if flag and not label)
            wide = P + in_buffers / 2
            seen = [any(flags[max(first - half, 0) : last + half + 1]) for first, last in joined]
            recalls.append(min(tp / wide, 1) * np.mean(seen))
            precisions.append(tp / sum(flags))
            fprs.append((sum(flags) - tp) / (T - wide))
        pr = sum((recalls[k + 1] - recalls[k]) * precisions[k] for k in range(250))
        x, y = [*fprs, 1.0], [*recalls, 1.0]
        roc = sum((x[k + 1] - x[k]) * (y[k + 1] + y[k]) / 2 for k in range(251))
        areas.append((pr, roc))
    return tuple(np.mean(areas, axis=0))


def range_scores(labels, flags):
    """(precision, recall): Tatbul et al. 2018, equations 1 to 7; flat, reciprocal cardinality, alpha 0 and 0.2."""

    def reward(ranges, others, alpha):
        if not ranges:
            return 0.0
        total = 0.0
        for first, last in ranges:
            touching = [one for one in others if one[0] <= last and first <= one[1]]
            overlap = sum(min(last, b) - max(first, a) + 1 for a, b in touching) / (last - first + 1)
            total += alpha * bool(touching) + (1 - alpha) * overlap / max(len(touching), 1)
        return total / len(ranges)

    return reward(runs(flags), runs(labels), 0.0), reward(runs(labels), runs(flags), 0.2)


def affiliation(labels, flags, fine=64):
    """(precision, recall): Huet et al. 2022, with integrals as sums over `fine` moments of each step."""
    T, ranges = len(labels), [(a, b + 1) for a, b in runs(labels)]
    flagged = [(a, b + 1) for a, b in runs(flags)]
    edges = [0, *[(a[1] + b[0]) / 2 for a, b in pairwise(ranges)], T]
    moments = (np.arange(T * fine) + 0.5) / fine
    is_flagged = np.repeat(np.asarray(flags, bool), fine)
    precisions, recalls = [], []
    for (a, b), e0, e1 in zip(ranges, edges, edges[1:], strict=False):
        zone = moments[(moments > e0) & (moments < e1)]
        distances = np.maximum(np.maximum(a - zone, zone - b), 0)
        here = zone[is_flagged[(moments > e0) & (moments < e1)]]
        if len(here):
            own = np.maximum(np.maximum(a - here, here - b), 0)
            precisions.append(np.mean([1.0 if d == 0 else np.mean(distances > d) for d in own]))
        inside = moments[(moments > a) & (moments < b)]
        pieces = [(max(p, e0), min(q, e1)) for p, q in flagged if p < e1 and q > e0]
        if not pieces:
            recalls.append(0.0)
            continue
        gaps = [min(max(p - y, y - q, 0) for p, q in pieces) for y in inside]
        further = [1.0 if d == 0 else np.mean(np.abs(zone - y) > d) for y, d in zip(inside, gaps, strict=True)]
        recalls.append(np.mean(further))
    return (float(np.mean(precisions)) if precisions else 0.0), float(np.mean(recalls))


def pareto_log_likelihood(above, gamma, sigma):
    """Of a generalised Pareto distribution, summed."""
    if abs(gamma) < 1e-12:
        return float(np.sum(-np.log(sigma) - above / sigma))
    inside = 1 + gamma * above / sigma
    if sigma <= 0 or (inside <= 0).any():
        return -np.inf
    return float(np.sum(-np.log(sigma) - (1 + 1 / gamma) * np.log(inside)))


def means_of_windows(windows, starts, length):
    """The mean over the windows that hold each point; 0 where none does."""
    held = [[] for _ in range(length)]
    for start, window in zip(starts, windows, strict=True):
        for k, error in enumerate(window):
            if start + k < length and not np.isnan(error):
                held[start + k].append(error)
    return np.array([np.mean(one) if one else 0.0 for one in held])
