"""Decoders written out from the papers, one sentence at a time, around the oracle of a cell.

Parameters: E embedding table, W_o and b_o output layer, `cell` those of the cell's oracle, and by style what is named
where it is used. H (T, M) are the encoder's outputs for one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oracles import attention
from oracles.loop import Array, Oracle, States, logistic


@dataclass
class Said:
    """What each step gave: logits (S, V), attention (S, T), and for the pointer h (S, H), x (S, E), context (S, M)."""

    logits: Array
    weights: Array
    h: Array
    x: Array
    context: Array
    repeated: Array


def bahdanau(p: Any, cell: Oracle, tokens: Sequence[int], H: Array, states: States, *, coverage: bool = False) -> Said:
    """Bahdanau et al. 2015, A.1.2, A.2.2: c_i from s_{i-1}; s_i from y_{i-1}, s_{i-1}, c_i; t_i by maxout (of s_i)."""
    covered, rows = np.zeros(len(H)), []
    for token in tokens:
        x = p["E"][token]
        score = attention.covered(covered) if coverage else attention.additive
        a = attention.softmax(score(states[0], H, p))
        context = a @ H
        states = cell.step(np.concatenate([x, context]), states, p["cell"])
        repeated = np.sum(np.minimum(a, covered))  # See et al. 2017, eq. 12
        covered = covered + a
        rows.append((maxout(p, states[0], x, context), a, states[0], x, context, repeated))
    return said(p, rows)


def luong(p: Any, cell: Oracle, tokens: Sequence[int], H: Array, states: States, *, feeding: bool) -> Said:
    """Luong et al. 2015, eq. 5 and section 3.3: attention by h_t; h~_t = tanh(W_c [c_t; h_t]) feeds the next one."""
    rows, attentional = [], np.zeros(len(p["W_c"]))
    for token in tokens:
        x = p["E"][token]
        states = cell.step(np.concatenate([x, attentional]) if feeding else x, states, p["cell"])
        a = attention.softmax(attention.general(states[0], H, p))
        context = a @ H
        attentional = np.tanh(p["W_c"] @ np.concatenate([context, states[0]]))
        rows.append((attentional, a, states[0], x, context, 0.0))
    return said(p, rows)


def cho(p: Any, cell: Oracle, tokens: Sequence[int], context: Array, states: States) -> Said:
    """Cho et al. 2014, A.1.2: one vector c goes into every step and every output."""
    rows = []
    for token in tokens:
        x = p["E"][token]
        states = cell.step(np.concatenate([x, context]), states, p["cell"])
        rows.append((maxout(p, states[0], x, context), np.zeros(0), states[0], x, context, 0.0))
    return said(p, rows)


def sutskever(p: Any, cell: Oracle, tokens: Sequence[int], states: States) -> Said:
    """Sutskever et al. 2014: a language model that starts from the source's last states."""
    rows = []
    for token in tokens:
        x = p["E"][token]
        states = cell.step(x, states, p["cell"])
        rows.append((states[0], np.zeros(0), states[0], x, np.zeros(0), 0.0))
    return said(p, rows)


def maxout(p: Any, h: Array, x: Array, context: Array) -> Array:
    """t_ij = max of two numbers of t~ = W [h; x; c] + b, here j and j + D; which two is a matter of naming."""
    t = p["W_t"] @ np.concatenate([h, x, context]) + p["b_t"]
    D = len(t) // 2
    return np.array([max(t[j], t[j + D]) for j in range(D)])


def said(p: Any, rows: Sequence[tuple[Any, ...]]) -> Said:
    readouts, *others = (np.array(column) for column in zip(*rows, strict=True))
    return Said(readouts @ p["W_o"].T + p["b_o"], *others)


def pointer(p: Any, s: Said, copies: Sequence[int], size: int) -> Array:
    """See et al. 2017, eq. 8-9: probabilities (S, size) over the vocabulary and the words of the source."""
    found = []
    for t, logits in enumerate(s.logits):
        own = logistic(p["w_gen"] @ np.concatenate([s.context[t], s.h[t], s.x[t]]) + p["b_gen"][0])
        probability = np.zeros(size)
        probability[: len(logits)] = own * attention.softmax(logits)
        for a, word in zip(s.weights[t], copies, strict=True):
            probability[word] += (1 - own) * a
        found.append(probability)
    return np.array(found)
