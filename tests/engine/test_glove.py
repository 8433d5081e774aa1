"""GloVe: counts by hand and in dictionaries, loss and steps of the paper in float64, bits that are always the same."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from recurra.base.errors import DataError, ShapeError
from recurra.engine import cpu, glove, words

pytestmark = pytest.mark.skipif(not cpu.available(), reason="needs the native engine")
V, D = 29, 13
LARGE = 2**24


def read(tokens, folder, pieces=1, **options):
    given = {"V": V, "tokens": len(tokens), "window": 3, "folder": folder, "memory": LARGE, "most": 50, "seed": 5}
    return list(glove.cooccurrences(np.array_split(np.asarray(tokens, np.int32), pieces), **{**given, **options}))


def as_dict(batches):
    """(row, column): ln x and f(x)."""
    found = {}
    for pairs, _ in batches:
        numbers = pairs[:, 2:].copy().view(np.float32)
        for (row, column), (log, weight) in zip(pairs[:, :2].tolist(), numbers.tolist(), strict=True):
            assert (row, column) not in found
            found[row, column] = log, weight
    return found


def counted(tokens, window, symmetric, weighted):
    """The same by a dictionary, in float64."""
    x = defaultdict(float)
    for k, word in enumerate(tokens):
        for d in range(1, window + 1):
            if word < 0 or k - d < 0 or -1 in tokens[k - d : k]:
                break
            x[word, tokens[k - d]] += 1 / d if weighted else 1
            if symmetric:
                x[tokens[k - d], word] += 1 / d if weighted else 1
    return dict(x)


def test_counts_of_a_line_are_those_by_hand(tmp_path):
    """0 1 0 | 1, window 2: 0-1 are neighbours twice; 0 stands beside itself at distance 2; no pair crosses the end."""
    tokens = [0, 1, 0, -1, 1]
    found = {pair: math.exp(log) for pair, (log, _) in as_dict(read(tokens, tmp_path, window=2)).items()}
    assert found == pytest.approx({(0, 1): 2, (1, 0): 2, (0, 0): 1})  # 1/2 from each side
    left = {
        pair: math.exp(log) for pair, (log, _) in as_dict(read(tokens, tmp_path, window=2, symmetric=False)).items()
    }
    assert left == pytest.approx({(0, 1): 1, (1, 0): 1, (0, 0): 0.5})


def text(length=3000, seed=2):
    rng = np.random.default_rng(seed)
    tokens = np.minimum(rng.zipf(1.3, length) - 1, V - 1).astype(np.int32)
    tokens[::41] = words.END
    return tokens.tolist()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_counts_and_weights_are_those_of_a_dictionary(tmp_path, symmetric, weighted):
    tokens = text()
    options = {"symmetric": symmetric, "weighted": weighted}
    found = as_dict(read(tokens, tmp_path, pieces=7, x_max=20.0, alpha=0.6, **options))
    expected = counted(tokens, 3, symmetric, weighted)
    assert found.keys() == expected.keys()
    for pair, x in expected.items():
        assert found[pair] == pytest.approx((math.log(x), min(1, (x / 20) ** 0.6)), rel=1e-6, abs=1e-6)


def test_no_bound_of_memory_and_no_cut_changes_a_bit(tmp_path):
    tokens = text(20_000)
    native = cpu._native.Cooccurrences(str(tmp_path), V, 3, True, True, len(tokens), 4000, 5)
    array = np.array(tokens, np.int32)
    native.add(array.ctypes.data, len(array))
    native.finish()
    assert native.runs() > 3  # the bound below takes files
    for symmetric in (True, False):
        whole = read(tokens, tmp_path, symmetric=symmetric)
        pieces = read(tokens, tmp_path, pieces=11, memory=4000, symmetric=symmetric)
        assert [a.pairs.tobytes() + a.begins.tobytes() for a in whole] == [
            b.pairs.tobytes() + b.begins.tobytes() for b in pieces
        ]
    assert list(tmp_path.iterdir()) == []


def test_a_batch_has_parts_without_a_common_row_or_column(tmp_path):
    batches = read(text(), tmp_path)
    assert len(batches) > 8
    for pairs, begins in batches:
        assert 0 < len(pairs) <= 50
        parts = [pairs[begins[p] : begins[p + 1]] for p in range(glove.PARTS)]
        for side in (0, 1):
            seen = [set(part[:, side].tolist()) for part in parts]
            assert sum(map(len, seen)) == len(set().union(*seen))


def tables(seed=4):
    rng = np.random.default_rng(seed)
    made = [words.table(V, D + 1) for _ in range(4)]
    for one, low in zip(made, (-1, -1, 0, 0), strict=True):
        one.copy_(torch.from_numpy(rng.uniform(low, 1, (V, D + 1))))
    return glove.Tables(*made)


def loss_of(w, c, log, weight):
    """Equation 8, halved. w, c: a vector and its bias"""
    return weight * (w[:D] @ c[:D] + w[D] + c[D] - log) ** 2 / 2


def slopes_of(w, c, log, weight):
    """By differences."""
    both = np.concatenate((w, c))
    found = np.zeros(len(both))
    for k in range(len(both)):
        side = np.zeros(len(both))
        side[k] = 1e-5
        ahead, behind = both + side, both - side
        found[k] = (
            loss_of(ahead[: D + 1], ahead[D + 1 :], log, weight)
            - loss_of(behind[: D + 1], behind[D + 1 :], log, weight)
        ) / 2e-5
    return found[: D + 1], found[D + 1 :]


def test_loss_and_steps_are_those_of_the_paper_in_float64(tmp_path):
    tokens, made = text(400), tables()
    w, c, w2, c2 = (one.numpy().astype(np.float64) for one in made)
    loss = found = 0.0
    for some in read(tokens, tmp_path, x_max=5.0):
        numbers = some.pairs[:, 2:].copy().view(np.float32).astype(np.float64)
        for (i, j), (log, weight) in zip(some.pairs[:, :2].tolist(), numbers.tolist(), strict=True):
            loss += loss_of(w[i], c[j], log, weight)
            for table, squares, row, slope in zip(
                (w, c), (w2, c2), (i, j), slopes_of(w[i], c[j], log, weight), strict=True
            ):
                step = 0.05 * slope
                table[row] -= step / np.sqrt(1 + squares[row])
                squares[row] += step**2
        found += glove.learn(some, made, rate=0.05)
    assert found == pytest.approx(loss, rel=1e-5)
    for one, expected in zip(made, (w, c, w2, c2), strict=True):
        np.testing.assert_allclose(one, expected, atol=2e-5)


def test_a_rate_of_zero_says_the_loss_and_moves_nothing(tmp_path):
    made = tables()
    before = [one.clone() for one in made]
    some = read(text(), tmp_path)[0]
    numbers = some.pairs[:, 2:].copy().view(np.float32)
    expected = sum(
        loss_of(made.words[i].double().numpy(), made.others[j].double().numpy(), log, weight)
        for (i, j), (log, weight) in zip(some.pairs[:, :2].tolist(), numbers.tolist(), strict=True)
    )
    assert glove.learn(some, made, rate=0.0) == pytest.approx(expected, rel=1e-6)
    assert all(torch.equal(one, old) for one, old in zip(made, before, strict=True))


@pytest.mark.parametrize("size", [7, 8, 100])
def test_the_bits_do_not_depend_on_the_number_of_threads(tmp_path, size):
    batches, before, found = read(text(), tmp_path, most=400), torch.get_num_threads(), []
    for threads in (1, 2, 4):
        rng = np.random.default_rng(1)
        made = glove.Tables(*(words.table(V, size + 1) for _ in range(4)))
        for one in made[:2]:
            one.copy_(torch.from_numpy(rng.uniform(-0.5, 0.5, (V, size + 1))))
        torch.set_num_threads(threads)
        try:
            said = [glove.learn(some, made, rate=0.1) for some in batches]
        finally:
            torch.set_num_threads(before)
        found.append((said, [one.numpy().tobytes() for one in made]))
    assert found[0] == found[1] == found[2]


def test_what_does_not_fit_is_refused(tmp_path):
    some, made = read(text(), tmp_path)[0], tables()
    with pytest.raises(ShapeError, match=r"others: expected a table of words.table\(29, 14\)"):
        glove.learn(some, made._replace(others=torch.zeros(V, D + 1)), rate=0.1)
    with pytest.raises(ShapeError, match="8 parts"):
        glove.learn(glove.Pairs(some.pairs, some.begins[::-1].copy()), made, rate=0.1)
    with pytest.raises(ShapeError, match="words from 0 to 28, got -1 to 27"):
        glove.learn(glove.Pairs(some.pairs - 1, some.begins), made, rate=0.1)
    with pytest.raises(ShapeError, match="numbers from -1 to 28, got 29 to 29"):
        read([29], tmp_path)
    with pytest.raises(DataError, match="counts of words cannot be kept there: No such file"):
        read(text(20_000), tmp_path / "gone", memory=4000)
