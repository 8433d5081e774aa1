"""TF-IDF by vectors over the whole vocabulary, distinct-n and recall by hand: float64 loops from the papers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def tfidf(texts: list[list[str]], questions: list[list[str]]) -> NDArray[np.float64]:
    """(questions, texts) cosines of (1 + log tf) * (1 + log((1 + N) / (1 + df))). Salton & Buckley 1988."""
    words = sorted({word for text in texts + questions for word in text})
    idf = np.array([1 + math.log((1 + len(texts)) / (1 + sum(word in text for text in texts))) for word in words])

    def rows(some: list[list[str]]) -> NDArray[np.float64]:
        counts = np.array([[text.count(word) for word in words] for text in some], np.float64)
        weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
        return weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-300)

    found: NDArray[np.float64] = rows(questions) @ rows(texts).T
    return found


def distinct(texts: list[str], n: int) -> float:
    """Li et al. 2016, section 5.3: the number of distinct n-grams divided by the number of generated n-grams."""
    seen, number = [], 0
    for text in texts:
        words = text.split()
        for at in range(len(words) - n + 1):
            number += 1
            if words[at : at + n] not in seen:
                seen.append(words[at : at + n])
    return len(seen) / number
