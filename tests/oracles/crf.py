"""A linear-chain conditional random field by brute force: every labelling of one sequence, in NumPy float64.

score(y) = first[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_{t-1}, y_t] + last[y_T], and p(y) proportional to
exp(score(y)): Lample et al. 2016, arXiv:1603.01360, section 2.2. L^T labellings, so T and L stay small.
"""

from __future__ import annotations

import itertools

import numpy as np


def score(labelling, emissions, transitions, first, last):
    """The score of one labelling (T,); 0 for the empty one."""
    if not len(labelling):
        return 0.0
    total = first[labelling[0]] + last[labelling[-1]]
    for t, label in enumerate(labelling):
        total += emissions[t][label]
    for before, after in itertools.pairwise(labelling):
        total += transitions[before][after]
    return float(total)


def is_allowed(labelling, allowed, allowed_first, allowed_last):
    """Whether constraints (L, L), (L,), (L,) of bool allow a labelling."""
    if not len(labelling):
        return True
    pairs = all(allowed[before][after] for before, after in itertools.pairwise(labelling))
    return bool(allowed_first[labelling[0]] and allowed_last[labelling[-1]] and pairs)


def all_scores(emissions, transitions, first, last, constraints=None):
    """{labelling: score} for every labelling, or every allowed one."""
    T, L = np.shape(emissions)
    every = itertools.product(range(L), repeat=T)
    kept = (y for y in every if constraints is None or is_allowed(y, *constraints))
    return {y: score(y, emissions, transitions, first, last) for y in kept}


def log_z(scores):
    """log of the sum of exp over all labellings."""
    values = np.array(list(scores.values()))
    return float(values.max() + np.log(np.exp(values - values.max()).sum()))


def best(scores):
    """The labelling of the highest score, and its score."""
    labelling = max(scores, key=lambda y: scores[y])
    return labelling, scores[labelling]


def marginals(scores, T, L):
    """p(y_t = k), (T, L)."""
    found, total = np.zeros((T, L)), log_z(scores)
    for labelling, value in scores.items():
        for t, label in enumerate(labelling):
            found[t, label] += np.exp(value - total)
    return found
