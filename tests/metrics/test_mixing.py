"""Two classifiers to one, by rows that neither learned from."""

from __future__ import annotations

import numpy as np

from recurra.metrics.mixing import SHARES, Floats, mix


def of_classes(right: np.ndarray):  # type: ignore[no-untyped-def,type-arg]
    def nats(scores: Floats) -> float:
        return float(sum(np.log(np.exp(row).sum()) - row[k] for row, k in zip(scores, right, strict=True)))

    return nats


def test_the_share_is_the_mean_over_all_shares_by_their_likelihood() -> None:
    draw = np.random.default_rng(1)
    right = draw.integers(0, 3, 40)
    first, second = draw.normal(size=(2, 40, 3))
    first[np.arange(40), right] += 2
    nats = of_classes(right)
    found = mix(first, second, temperature=lambda scores: 2.0 if scores is first else 0.5, nats=nats)
    likelihood = np.exp([-nats(s * first / 2 + (1 - s) * second * 2) for s in SHARES])
    share = (likelihood * SHARES).sum() / likelihood.sum()
    np.testing.assert_allclose([found.first, found.second], [share / 2, (1 - share) * 2])
    assert share > 0.8


def test_a_share_that_is_given_is_of_both_at_their_temperatures() -> None:
    first, second = np.random.default_rng(3).normal(size=(2, 30, 4))
    nats = of_classes(second.argmax(1))  # rows that the second alone fits
    found = mix(first, second, temperature=lambda scores: 2.0 if scores is first else 0.5, nats=nats, share=0.9)
    np.testing.assert_allclose([found.first, found.second], [0.45, 0.2])
    assert mix(first, second, temperature=lambda _: 1.0, nats=nats).first < 0.2


def test_two_that_say_the_same_have_half_each() -> None:
    scores = np.random.default_rng(2).normal(size=(30, 4))
    found = mix(scores, scores, temperature=lambda _: 1.0, nats=of_classes(np.zeros(30, int)))
    np.testing.assert_allclose([found.first, found.second, found.spread], 0.5)


def test_one_that_says_nothing_has_no_part_of_the_variance() -> None:
    scores = np.random.default_rng(2).normal(size=(30, 4))
    found = mix(scores, np.zeros((30, 4)), temperature=lambda _: 1.0, nats=of_classes(scores.argmax(1)))
    assert found.spread == 1.0
    nothing = mix(scores * 0, scores * 0, temperature=lambda _: 1.0, nats=of_classes(scores.argmax(1)))
    assert nothing.spread == 0.5


def test_a_constant_in_every_row_changes_no_share() -> None:
    draw = np.random.default_rng(3)
    first, second, right = draw.normal(size=(20, 3)), draw.normal(size=(20, 3)), draw.integers(0, 3, 20)
    plain = mix(first, second, temperature=lambda _: 1.0, nats=of_classes(right))
    moved = mix(first + draw.normal(size=(20, 1)), second, temperature=lambda _: 1.0, nats=of_classes(right))
    np.testing.assert_allclose([moved.first, moved.spread], [plain.first, plain.spread])
