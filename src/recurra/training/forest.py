"""Extremely randomised trees, grown level by level, all of one depth: each row's way takes as many comparisons.

A node tries the square root of the number of columns, each at a threshold drawn between the least and the largest
number that it holds, and keeps the one that leaves the labels purest (Gini).
Source: Geurts, Ernst & Wehenkel 2006, "Extremely randomized trees", doi 10.1007/s10994-006-6226-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
# A threshold that no number passes: float32's largest, as infinity is no number that a file of weights may hold.
NEVER = float(np.finfo(np.float32).max)
# Beyond all numbers that models read.
FAR = np.float32(1e30)
# A split that makes labels purer by less is no split.
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Trees:
    """K trees. columns, thresholds: (K, 2^d - 1) of the nodes, level by level: right where the number is larger

    leaves: (K, 2^d, C) shares of the labels, zeros where no row came
    """

    columns: Ints
    thresholds: Floats
    leaves: Floats


def grown(x: Floats, labels: Ints, weights: Floats, *, trees: int, depth: int, seed: int = 0) -> Trees:
    """Trees of rows x (N, S) with labels (N,) in 0..C-1. weights: (C,) what a row of each label counts"""
    random = np.random.default_rng(seed)
    found = [_tree(x, labels, weights, depth, random) for _ in range(trees)]
    columns, thresholds, leaves = (np.stack([tree[k] for tree in found]) for k in range(3))
    return Trees(columns, thresholds, leaves)


def _tree(x: Floats, labels: Ints, weights: Floats, depth: int, random: np.random.Generator) -> tuple[Any, Any, Any]:
    columns, thresholds = np.zeros(2**depth - 1, np.int64), np.full(2**depth - 1, NEVER, np.float32)
    place = np.zeros(len(x), np.int64)  # of a row's node in its level
    for level in range(depth):
        column, threshold = _level(x, labels, weights, place, 2**level, random)
        nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
        columns[nodes], thresholds[nodes] = column, threshold
        place = 2 * place + (x[np.arange(len(x)), column[place]] > threshold[place])
    counts = _counts(place, labels, weights, 2**depth)
    return columns, thresholds, (counts / np.maximum(counts.sum(1, keepdims=True), LEAST)).astype(np.float32)


def _level(
    x: Floats, labels: Ints, weights: Floats, place: Ints, nodes: int, random: np.random.Generator
) -> tuple[Ints, Floats]:
    """(nodes,) column and threshold of the best try of each node; 0 and NEVER where none splits it."""
    rows = np.arange(len(x))
    columns, thresholds = np.zeros(nodes, np.int64), np.full(nodes, NEVER, np.float32)
    best = _purity(_counts(place, labels, weights, nodes)) + LEAST
    for _ in range(math.ceil(math.sqrt(x.shape[1]))):
        column = random.integers(x.shape[1], size=nodes)
        numbers = x[rows, column[place]]
        low, high = np.full(nodes, FAR), np.full(nodes, -FAR)
        np.minimum.at(low, place, numbers)
        np.maximum.at(high, place, numbers)
        threshold = (low + random.random(nodes, np.float32) * np.maximum(high - low, 0)).astype(np.float32)
        halves = _counts(2 * place + (numbers > threshold[place]), labels, weights, 2 * nodes)
        pure = _purity(halves).reshape(nodes, 2).sum(1)
        better = pure > best
        best = np.where(better, pure, best)
        columns, thresholds = np.where(better, column, columns), np.where(better, threshold, thresholds)
    return columns, thresholds


def _counts(place: Ints, labels: Ints, weights: Floats, nodes: int) -> NDArray[np.float64]:
    """(nodes, C) weight of the rows of each label in each node."""
    C = len(weights)
    found: NDArray[np.float64] = np.bincount(place * C + labels, weights[labels], nodes * C).astype(np.float64)
    return found.reshape(nodes, C)


def _purity(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(nodes,): rows less those that Gini counts as mixed."""
    found: NDArray[np.float64] = (counts**2).sum(1) / np.maximum(counts.sum(1), LEAST)
    return found
