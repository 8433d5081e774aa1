"""Word vectors: the loss and the updates of the paper, in float64, and bits that depend on no number of threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recurra.base.errors import ShapeError
from recurra.engine import cpu, words

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")
V, D, WINDOW, NEGATIVES, GROUP = 37, 21, 3, 4, 5
MASK = 2**64 - 1
COUNTS = np.arange(V, 0, -1).astype(np.int64) ** 2


def mixed(z):
    """splitmix64."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def draws(seed, position):
    state = mixed(seed ^ mixed(position))
    while True:
        yield mixed(state)
        state = (state + 1) & MASK


def windows_of(tokens, negative, keep, seed, position):
    """(words around, samples with the right one first) of each window, as the module's text says."""
    left, sentence = [], 0
    for k, word in enumerate(tokens.tolist()):
        if word < 0:
            sentence += 1
        elif keep is None or next(draws(~seed & MASK, position + k)) >> 32 <= keep[word]:
            left.append((word, sentence, position + k))
    for at, (word, sentence, place) in enumerate(left):
        chance = draws(seed, place)
        reach = 1 + next(chance) % WINDOW
        near = range(max(at - reach, 0), min(at + reach + 1, len(left)))
        around = [left[k][0] for k in near if k != at and left[k][1] == sentence]
        samples, tries = [word], 0
        while around and len(samples) <= NEGATIVES and tries < 10 * NEGATIVES:
            draw, tries = next(chance), tries + 1
            place_of = (draw & 0xFFFFFFFF) * V >> 32
            one = place_of if draw >> 32 < negative.share[place_of] else int(negative.other[place_of])
            if one not in samples:
                samples.append(one)
        if around:
            yield around, samples


def trained(tokens, inputs, outputs, negative, keep, rate, seed, position):
    """The same in float64: products at the beginning of each group of windows, then the updates in order."""
    nats, pairs, found = 0.0, 0, list(windows_of(tokens, negative, keep, seed, position))
    for begin in range(0, len(found), GROUP):
        group = found[begin : begin + GROUP]
        scores = [inputs[around] @ outputs[samples].T for around, samples in group]
        for (around, samples), score in zip(group, scores, strict=True):
            right = np.arange(len(samples)) == 0
            nats += np.logaddexp(0, np.where(right, -score, score)).sum()
            pairs += len(around)
            error = rate * (right - 1 / (1 + np.exp(-score)))
            before, moved = outputs[samples].copy(), outputs[samples].copy()
            for k, word in enumerate(around):
                moved += np.outer(error[k], inputs[word])
                inputs[word] += error[k] @ before
            outputs[samples] = moved
    return nats, pairs


def problem(seed=3, length=400):
    rng = np.random.default_rng(seed)
    tokens = rng.choice(V, length, p=COUNTS / COUNTS.sum()).astype(np.int32)
    tokens[::23] = words.END
    inputs, outputs = words.table(V, D), words.table(V, D)
    inputs.copy_(torch.from_numpy(rng.normal(0, 0.3, (V, D))))
    outputs.copy_(torch.from_numpy(rng.normal(0, 0.3, (V, D))))
    return tokens, inputs, outputs, words.distribution(COUNTS**0.75)


@pytest.mark.parametrize("sample", [0, 1e-2])
def test_the_updates_are_those_of_the_paper(sample):
    tokens, inputs, outputs, negative = problem()
    keep = words.kept(COUNTS, sample)
    expected = [inputs.numpy().astype(np.float64), outputs.numpy().astype(np.float64)]
    nats, pairs = trained(tokens, *expected, negative, keep, 0.05, 7, 1000)
    found = words.skip_gram(
        tokens,
        inputs,
        outputs,
        negative,
        keep=keep,
        window=WINDOW,
        negatives=NEGATIVES,
        group=GROUP,
        rate=0.05,
        seed=7,
        position=1000,
    )
    assert found[1] == pairs
    assert found[0] == pytest.approx(nats, rel=1e-5)
    np.testing.assert_allclose(inputs, expected[0], atol=2e-5)
    np.testing.assert_allclose(outputs, expected[1], atol=2e-5)


def run(threads, negatives, sizes=(V, D)):
    tokens, _, _, negative = problem()
    rng = np.random.default_rng(5)
    inputs, outputs = words.table(V, sizes[1]), words.table(V, sizes[1])
    inputs.copy_(torch.from_numpy(rng.normal(0, 0.3, (V, sizes[1]))))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for epoch in range(2):
            said = words.skip_gram(
                tokens, inputs, outputs, negative, keep=None, window=5, negatives=negatives, group=3, rate=0.1, seed=1,
                position=epoch * len(tokens),
            )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    return inputs.numpy().tobytes(), outputs.numpy().tobytes(), said


@pytest.mark.parametrize(("negatives", "size"), [(5, 100), (1, 8), (11, 33), (13, 3)])
def test_the_bits_do_not_depend_on_the_number_of_threads(negatives, size):
    alone = run(1, negatives, (V, size))
    assert run(2, negatives, (V, size)) == alone
    assert run(4, negatives, (V, size)) == alone


def test_a_text_in_pieces_draws_what_the_whole_does():
    tokens, _, _, negative = problem(length=46)  # two sentences of 22 words between ends
    keep = words.kept(COUNTS, 1e-2)
    whole = list(windows_of(tokens, negative, keep, 7, 0))
    pieces = [*windows_of(tokens[:23], negative, keep, 7, 0), *windows_of(tokens[23:], negative, keep, 7, 23)]
    assert whole == pieces


def test_words_are_drawn_with_the_shares_that_are_asked_for():
    negative = words.distribution(COUNTS.astype(np.float64))
    whole = np.zeros(V)
    share = negative.share / 2.0**32
    np.add.at(whole, np.arange(V), share / V)
    np.add.at(whole, negative.other, (1 - share) / V)
    np.testing.assert_allclose(whole, COUNTS / COUNTS.sum(), atol=1e-8)


def test_frequent_words_are_left_out_by_the_formula_that_is_named():
    counts = np.array([9900, 100], np.int64)
    code, paper = words.kept(counts, 1e-3), words.kept(counts, 1e-3, "paper")
    f = 0.99
    assert code[0] / 2**32 == pytest.approx(math.sqrt(1e-3 / f) + 1e-3 / f, rel=1e-6)
    assert paper[0] / 2**32 == pytest.approx(math.sqrt(1e-3 / f), rel=1e-6)
    assert words.kept(counts, 0) is None
    with pytest.raises(ValueError, match="expected code or paper"):
        words.kept(counts, 1e-3, "both")


def test_words_that_stand_together_get_similar_vectors():
    rng = np.random.default_rng(1)
    # Two topics of ten words each: sentences are of one topic.
    rows = [np.append(rng.integers(0, 10, 12) + 10 * (k % 2), words.END) for k in range(600)]
    tokens = np.concatenate(rows).astype(np.int32)
    inputs, outputs, negative = words.table(20, 16), words.table(20, 16), words.distribution(np.ones(20))
    inputs.copy_(torch.from_numpy(rng.uniform(-0.03, 0.03, (20, 16))))
    for epoch in range(4):
        words.skip_gram(
            tokens,
            inputs,
            outputs,
            negative,
            keep=None,
            window=4,
            negatives=5,
            group=4,
            rate=0.05,
            seed=1,
            position=epoch * len(tokens),
        )
    unit = torch.nn.functional.normalize(inputs, dim=1)
    near = unit @ unit.T
    assert near[:10, :10].mean() > near[:10, 10:].mean() + 0.5


@pytest.mark.parametrize("negatives", [5, 20])
def test_few_words_at_a_high_rate_stay_finite(negatives):
    tokens, inputs, outputs, negative = problem(length=3000)
    many = words.group(COUNTS, None, negatives)
    assert many == (2 if negatives == 5 else 1)
    for epoch in range(3):
        nats, pairs = words.skip_gram(
            tokens, inputs, outputs, negative, keep=None, window=5, negatives=negatives, group=many, rate=0.1, seed=1,
            position=epoch * len(tokens),
        )  # fmt: skip
    assert nats / pairs < (1 + negatives) * math.log(2)


def test_a_text_of_many_words_has_larger_groups():
    counts = (1e6 / np.arange(1, 30_001)).astype(np.int64)  # Zipf's law
    assert words.group(counts, words.kept(counts, 1e-3), 5) == 8
    assert words.group(counts, None, 5) == 5


def test_what_does_not_fit_is_refused():
    tokens, inputs, outputs, negative = problem()
    options = {"keep": None, "window": 3, "negatives": 2, "group": 4, "rate": 0.1, "seed": 1, "position": 0}
    for changed, message in (
        ({"tokens": tokens.astype(np.int64)}, "tokens: expected int32"),
        ({"tokens": np.array([V], np.int32)}, r"tokens: expected numbers from -1 to 36, got 37"),
        ({"inputs": inputs.double()}, "inputs: expected a table"),
        ({"outputs": torch.zeros(V, D)}, "outputs: expected a table"),
        ({"negative": words.distribution(np.ones(3))}, "share: expected uint32"),
        ({"window": 0}, "expected a window of 1 to 64"),
        ({"negatives": 64}, "1 to 63 negatives"),
        ({"group": 17}, "group: expected 1 to 16 windows"),
    ):
        given = {"tokens": tokens, "inputs": inputs, "outputs": outputs, "negative": negative, **options} | changed
        with pytest.raises(ShapeError, match=message):
            words.skip_gram(**given)


def test_a_text_without_pairs_changes_nothing():
    _, inputs, outputs, negative = problem()
    before = inputs.clone(), outputs.clone()
    for tokens in ([], [words.END, words.END], [3, words.END, 4]):
        said = words.skip_gram(
            np.array(tokens, np.int32),
            inputs,
            outputs,
            negative,
            keep=None,
            window=3,
            negatives=2,
            group=4,
            rate=0.1,
            seed=1,
            position=0,
        )
        assert said == (0.0, 0)
    assert torch.equal(inputs, before[0])
    assert torch.equal(outputs, before[1])
