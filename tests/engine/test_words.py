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
BLOCK = 256  # words of which no window shares a group with the others'
MASK = 2**64 - 1
COUNTS = np.arange(V, 0, -1).astype(np.int64) ** 2


class AllThreads:
    """As many threads as may be, whether or not they are faster."""

    def run(self, threads, size, work):
        return work(threads)


@pytest.fixture(autouse=True)
def all_threads(monkeypatch):
    monkeypatch.setattr(words, "TEAM", AllThreads())


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


def path_of(word, counts):
    """(inner node, right answer) from the root of Huffman's tree, as nested pairs; nodes in the order of joining."""
    trees = [(int(n), k, k) for k, n in enumerate(counts)]  # how often, when made, the tree
    for made in range(len(counts), 2 * len(counts) - 1):
        trees.sort(key=lambda tree: tree[:2])
        left, right = trees[:2]
        trees = [*trees[2:], (left[0] + right[0], made, (made - len(counts), left[2], right[2]))]

    def found(tree):
        if not isinstance(tree, tuple):
            return [] if tree == word else None
        for side, right in ((tree[1], True), (tree[2], False)):  # the left side is the answer yes
            if (rest := found(side)) is not None:
                return [(tree[0], right), *rest]
        return None

    return found(trees[0][2])


def windows_of(tokens, negative, keep, seed, position, dynamic=True):
    """(block, words around, samples with the right one first) of each window, as the module's text says."""
    left, sentence = [], 0
    for k, word in enumerate(tokens.tolist()):
        if word < 0:
            sentence += 1
        elif keep is None or next(draws(~seed & MASK, position + k)) >> 32 <= keep[word]:
            left.append((word, sentence, position + k))
    for at, (word, sentence, place) in enumerate(left):
        chance = draws(seed, place)
        drawn = next(chance) % WINDOW
        reach = 1 + drawn if dynamic else WINDOW
        near = range(max(at - reach, 0), min(at + reach + 1, len(left)))
        around = [left[k][0] for k in near if k != at and left[k][1] == sentence]
        samples, tries = [word], 0
        if isinstance(negative, words.Tree):
            if around:
                yield at // BLOCK, around, path_of(word, COUNTS)
            continue
        while around and len(samples) <= NEGATIVES and tries < 10 * NEGATIVES:
            draw, tries = next(chance), tries + 1
            place_of = (draw & 0xFFFFFFFF) * V >> 32
            one = place_of if draw >> 32 < negative.share[place_of] else int(negative.other[place_of])
            if one not in samples:
                samples.append(one)
        if around:
            yield at // BLOCK, around, samples


def left(inputs, around, cbow):
    """What is told from others: the rows of the words around, or their mean."""
    return inputs[around].mean(0, keepdims=True) if cbow else inputs[around]


def loss_of(x, y, right):
    """-log sigmoid(x y) of right answers, -log sigmoid(-x y) of wrong ones (Mikolov et al. 2013, eq. 3 and 4)."""
    return np.logaddexp(0, np.where(right, -(x @ y.T), x @ y.T)).sum()


def trained(tokens, inputs, outputs, negative, keep, rate, seed, position, cbow=False, dynamic=True):
    """The same in float64: products at the beginning of each group of windows, then the updates in order."""
    nats, pairs, found = 0.0, 0, []
    for block, around, samples in windows_of(tokens, negative, keep, seed, position, dynamic):
        told = samples if isinstance(samples[0], tuple) else [(k, n == 0) for n, k in enumerate(samples)]
        window = around, [k for k, _ in told], np.array([is_right for _, is_right in told])
        if not found or found[-1][0] != block or len(found[-1][1]) == GROUP:
            found.append((block, []))
        found[-1][1].append(window)
    for _, group in found:
        lefts = [left(inputs, around, cbow) for around, _, _ in group]
        scores = [x @ outputs[samples].T for x, (_, samples, _) in zip(lefts, group, strict=True)]
        if cbow:
            for (around, samples, right), score, x in zip(group, scores, lefts, strict=True):
                nats += np.logaddexp(0, np.where(right, -score, score)).sum()
                pairs += 1
                error = rate * (right - 1 / (1 + np.exp(-score[0])))
                moved = error @ outputs[samples] / len(around)
                outputs[samples] += np.outer(error, x[0])
                np.add.at(inputs, around, moved)
            continue
        for (around, samples, right), score in zip(group, scores, strict=True):
            nats += np.logaddexp(0, np.where(right, -score, score)).sum()
            pairs += len(around)
            error = rate * (right - 1 / (1 + np.exp(-score)))
            before, moved, own = outputs[samples].copy(), outputs[samples].copy(), inputs[around].copy()
            for k, word in enumerate(around):
                moved += np.outer(error[k], own[k])
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


WAYS = {
    "skip-gram": {},
    "skip-gram, windows of one size": {"dynamic": False},
    "CBOW": {"cbow": True},
    "skip-gram, tree": {"tree": True},
    "CBOW, tree, windows of one size": {"cbow": True, "tree": True, "dynamic": False},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_moves_by_the_gradient_of_its_loss(way):
    """The oracle in float64, whose own gradient is checked against differences of its loss below."""
    options = dict(WAYS[way])
    tokens, inputs, outputs, told = problem()
    if options.pop("tree", False):
        told, outputs = words.huffman(COUNTS), words.table(V - 1, D).copy_(outputs[:-1])
    keep = words.kept(COUNTS, 1e-2)
    expected = [inputs.numpy().astype(np.float64), outputs.numpy().astype(np.float64)]
    nats, pairs = trained(tokens, *expected, told, keep, 0.05, 7, 1000, **options)
    found = words.learn(
        tokens, inputs, outputs, told, keep=keep, window=WINDOW, negatives=NEGATIVES, group=GROUP, rate=0.05, seed=7,
        position=1000, **options,
    )  # fmt: skip
    assert found[1] == pairs
    assert found[0] == pytest.approx(nats, rel=1e-5)
    np.testing.assert_allclose(inputs, expected[0], atol=2e-5)
    np.testing.assert_allclose(outputs, expected[1], atol=2e-5)


@pytest.mark.parametrize("cbow", [False, True])
def test_the_oracle_moves_along_the_gradient_of_its_loss(cbow):
    """One window, a word in it twice: differences of the loss in float64 beside what one step of rate 1 moves."""
    rng = np.random.default_rng(2)
    tokens = np.array([1, 2, 1], np.int32)
    start, other = rng.normal(0, 0.5, (V, 4)), rng.normal(0, 0.5, (V, 4))
    negative = words.distribution(COUNTS**0.75)
    _, around, samples = list(windows_of(tokens, negative, None, 7, 0, False))[1]
    right = np.arange(len(samples)) == 0
    assert around == [1, 1]
    slopes = np.zeros(4)
    for d in range(4):
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[1, d] += sign * 1e-6
            sides.append(loss_of(left(moved, around, cbow), other[samples], right))
        slopes[d] = (sides[0] - sides[1]) / 2e-6
    score = left(start, around, cbow) @ other[samples].T
    error = right - 1 / (1 + np.exp(-score))
    by_hand = sum(error[k] @ other[samples] for k in range(len(error))) if not cbow else error[0] @ other[samples]
    np.testing.assert_allclose(-slopes, by_hand, rtol=1e-6)


ROWS = V + 11  # of words, and of what words share


def bags_of(seed=8):
    """Each word is itself and up to five shared rows, one of which may come twice."""
    rng = np.random.default_rng(seed)
    bags = [[word, *rng.integers(V, ROWS, rng.integers(0, 6))] for word in range(V)]
    begins = np.cumsum([0, *map(len, bags)]).astype(np.int64)
    return bags, words.Bags(begins, np.concatenate(bags).astype(np.int32))


def trained_in_bags(tokens, inputs, outputs, told, bags, rate, seed, position):
    """Skip-gram of means in float64: each row of a bag moves by the mean's gradient, so that the mean does as well."""
    nats, found = 0.0, []
    for block, around, samples in windows_of(tokens, told, None, seed, position):
        if not found or found[-1][0] != block or len(found[-1][1]) == GROUP:
            found.append((block, []))
        found[-1][1].append((around, samples))
    for _, group in found:
        means = [np.array([inputs[bags[word]].mean(0) for word in around]) for around, _ in group]
        scores = [x @ outputs[samples].T for x, (_, samples) in zip(means, group, strict=True)]
        for (around, samples), x, score in zip(group, means, scores, strict=True):
            right = np.arange(len(samples)) == 0
            nats += np.logaddexp(0, np.where(right, -score, score)).sum()
            error = rate * (right - 1 / (1 + np.exp(-score)))
            gradients = error @ outputs[samples]
            outputs[samples] += error.T @ x
            for word, gradient in zip(around, gradients, strict=True):
                for row in bags[word]:
                    inputs[row] += gradient
    return nats


def learned_in_bags(threads=1):
    tokens, _, outputs, told = problem()
    bags, given = bags_of()
    inputs = words.table(ROWS, D).copy_(torch.from_numpy(np.random.default_rng(6).normal(0, 0.3, (ROWS, D))))
    start, before = inputs.double().numpy().copy(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        nats, _ = words.learn(
            tokens, inputs, outputs, told, keep=None, window=WINDOW, negatives=NEGATIVES, group=GROUP, rate=0.02,
            seed=7, position=1000, bags=given,
        )  # fmt: skip
    finally:
        torch.set_num_threads(before)
    return nats, inputs, outputs, start, bags


def test_a_word_of_several_rows_moves_them_all_by_the_gradient_of_their_mean():
    nats, inputs, outputs, start, bags = learned_in_bags()
    tokens, _, other, told = problem()
    expected = [start, other.double().numpy()]
    assert nats == pytest.approx(trained_in_bags(tokens, *expected, told, bags, 0.02, 7, 1000), rel=1e-5)
    np.testing.assert_allclose(inputs, expected[0], atol=5e-5)
    np.testing.assert_allclose(outputs, expected[1], atol=5e-5)


def test_words_of_several_rows_have_the_same_bits_for_any_number_of_threads():
    found = [learned_in_bags(threads) for threads in (1, 2, 4)]
    assert (
        len({(nats, inputs.numpy().tobytes(), outputs.numpy().tobytes()) for nats, inputs, outputs, *_ in found}) == 1
    )


def test_rows_of_words_that_do_not_fit_are_refused():
    tokens, inputs, outputs, told = problem()
    options = {"keep": None, "window": 3, "negatives": 2, "group": 4, "rate": 0.1, "seed": 1, "position": 0}
    _, bags = bags_of()
    short = words.Bags(np.zeros(V + 1, np.int64), bags.rows[:0])
    for given, more, message in (
        (bags, {}, "bags: expected rows from 0 to 36, got 0 to 47"),
        (bags, {"cbow": True}, "bags: expected skip-gram, got CBOW"),
        (short, {}, "bags: expected at least one row for each word"),
    ):
        with pytest.raises(ShapeError, match=message):
            words.learn(tokens, inputs, outputs, told, bags=given, **options, **more)


def test_frequent_words_have_short_paths():
    """Huffman's example of weights 5, 2, 1, 1: code lengths 1, 2, 3, 3."""
    tree = words.huffman(np.array([5, 2, 1, 1]))
    assert np.diff(tree.begins).tolist() == [1, 2, 3, 3]
    assert [tree.paths[tree.begins[k] : tree.begins[k + 1]].tolist() for k in range(4)] == [
        [5],
        [4, 2],
        [4, 3, 0],
        [4, 3, 1],
    ]
    with pytest.raises(ShapeError, match="at least 2 words, got 1"):
        words.huffman(np.array([5]))
    fibonacci = [1, 1]
    while len(fibonacci) < 66:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])  # the deepest tree of a text
    with pytest.raises(ShapeError, match="paths of at most 64 nodes, got 65"):
        words.huffman(np.array(fibonacci))


@pytest.mark.parametrize("way", ["CBOW", "CBOW, tree, windows of one size", "skip-gram, tree"])
def test_no_way_depends_on_the_number_of_threads(way):
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 4):
        options = dict(WAYS[way])
        tokens, inputs, outputs, told = problem(length=150)
        if options.pop("tree", False):
            told, outputs = words.huffman(COUNTS), words.table(V - 1, D).copy_(outputs[:-1])
        torch.set_num_threads(threads)
        try:
            said = words.learn(
                tokens, inputs, outputs, told, keep=None, window=4, negatives=NEGATIVES, group=3, rate=0.1, seed=1,
                position=0, **options,
            )  # fmt: skip
        finally:
            torch.set_num_threads(before)
        found.append((said, inputs.numpy().tobytes(), outputs.numpy().tobytes()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("sample", [0, 1e-2])
def test_the_updates_are_those_of_the_paper(sample):
    tokens, inputs, outputs, negative = problem()
    keep = words.kept(COUNTS, sample)
    expected = [inputs.numpy().astype(np.float64), outputs.numpy().astype(np.float64)]
    nats, pairs = trained(tokens, *expected, negative, keep, 0.05, 7, 1000)
    found = words.learn(
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
            said = words.learn(
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
        words.learn(
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
        nats, pairs = words.learn(
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
        ({"told": words.distribution(np.ones(3))}, "share: expected uint32"),
        ({"window": 0}, "expected a window of 1 to 64"),
        ({"negatives": 64}, "1 to 63 negatives"),
        ({"group": 17}, "group: expected 1 to 16 windows"),
    ):
        given = {"tokens": tokens, "inputs": inputs, "outputs": outputs, "told": negative, **options} | changed
        with pytest.raises(ShapeError, match=message):
            words.learn(**given)


def test_a_text_without_pairs_changes_nothing():
    _, inputs, outputs, negative = problem()
    before = inputs.clone(), outputs.clone()
    for tokens in ([], [words.END, words.END], [3, words.END, 4]):
        said = words.learn(
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
