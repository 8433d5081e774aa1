"""Baselines of a language model, against the formulas of the papers written out with dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from recurra.metrics.ngrams import Bigram, Unigram, discount


def by_the_formula(pairs: list[tuple[int, int]], v: int, w: int, size: int) -> float:
    """Chen & Goodman 1999, section 2.7 with absolute discounting at both orders; every count by a loop."""

    def estimate(counts: list[int]) -> float:
        n1, n2 = counts.count(1), counts.count(2)
        return n1 / (n1 + 2 * n2) if n1 and n2 else 0.5

    count, kinds = Counter(pairs), set(pairs)
    before = {w: len({a for a, b in kinds if b == w}) for w in range(size)}
    D = estimate([n for n in before.values() if n])
    total = sum(before.values())
    lower = max(before[w] - D, 0) / total + D * sum(n > 0 for n in before.values()) / total / size
    times = sum(n for (a, _), n in count.items() if a == v)
    if not times:
        return lower
    D = estimate(list(count.values()))
    return max(count[v, w] - D, 0) / times + D * len({b for a, b in kinds if a == v}) / times * lower


@pytest.mark.parametrize("seed", range(4))
def test_kneser_ney_is_the_formula_of_the_paper_and_sums_to_one(seed: int) -> None:
    rng, size = np.random.default_rng(seed), 9
    text = rng.zipf(1.6, 60) % (size - 2)
    before, after = text[:-1], text[1:]
    model = Bigram(before, after, size)
    pairs = list(zip(before.tolist(), after.tolist(), strict=True))
    for v in range(size):
        row = model.probabilities(np.full(size, v), np.arange(size))
        assert row.sum() == pytest.approx(1, abs=1e-12)
        expected = [by_the_formula(pairs, v, w, size) for w in range(size)]
        np.testing.assert_allclose(row, expected, rtol=1e-12)
    np.testing.assert_allclose(model.nats(before, after), -np.log(model.probabilities(before, after)))


def test_a_pair_by_hand() -> None:
    # a b, a b, a c: D = 1 / (1 + 2) of the pairs; before b and c one word each, so D' = 0.5 where n_2 = 0.
    model = Bigram(np.array([0, 0, 0]), np.array([1, 1, 2]), 4)
    lower = (1 - 0.5) / 2 + 0.5 * 2 / 2 / 4
    expected = (2 - 1 / 3) / 3 + (1 / 3) * 2 / 3 * lower
    assert model.probabilities(np.array([0]), np.array([1]))[0] == pytest.approx(expected, rel=1e-12)


def test_the_unigram_counts_and_sums_to_one() -> None:
    model = Unigram(np.array([2, 2, 1]), 4)
    np.testing.assert_allclose(np.exp(-model.nats(np.arange(4))), [1 / 7, 2 / 7, 3 / 7, 1 / 7])


def test_the_discount_falls_back_where_nothing_was_seen_once_or_twice() -> None:
    assert discount(np.array([1, 1, 2, 5])) == 0.5
    assert discount(np.array([1, 2, 2])) == 0.2
    assert discount(np.array([3, 4])) == 0.5
