"""Word vectors from letters: written out for one word, and blind to neighbours and padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.nn import CHARACTERS, HighwayCNN

LETTERS, E, SIZE = 9, 4, 3
WORDS = [[3, 1, 4, 1, 5], [2], [], [6, 5], [7, 8, 2]]


def encoder(word):
    torch.manual_seed(0)
    return CHARACTERS[word](LETTERS, E, SIZE).double()


def batch_of(rows, filling=0, width=None):
    """Rows of words (each a list of letters) as characters (C, T, N) and lengths (T, N)."""
    T = max(map(len, rows))
    C = width or max(len(word) for row in rows for word in row)
    characters = torch.full((C, T, len(rows)), filling)
    lengths = torch.zeros(T, len(rows), dtype=torch.int64)
    for n, row in enumerate(rows):
        for t, word in enumerate(row):
            lengths[t, n] = len(word)
            characters[: len(word), t, n] = torch.tensor(word)
    return characters, lengths


def logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x, weights):
    """The last h of Hochreiter & Schmidhuber's cell with a forget gate; rows of the weights are i, f, g, o."""
    W, R, b, b_R = weights
    h = c = np.zeros(R.shape[1])
    for x_t in x:
        i, f, g, o = np.split(W @ x_t + R @ h + b + b_R, 4)
        c = logistic(f) * c + logistic(i) * np.tanh(g)
        h = logistic(o) * np.tanh(c)
    return h


def test_an_lstm_reads_a_word_from_both_ends():
    model = encoder("lstm")
    found = model(*batch_of([WORDS])).detach().numpy()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert found.shape == (len(WORDS), 1, 2 * SIZE)
    for t, word in enumerate(WORDS):
        x = state["embedding.weight"][word]
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        ways = [
            lstm_by_hand(x[::turn], [state[f"recurrent.{name}{suffix}"] for name in names])
            for turn, suffix in ((1, ""), (-1, "_reverse"))
        ]
        np.testing.assert_allclose(found[t, 0], np.concatenate(ways), atol=1e-12)


def test_a_cnn_takes_the_best_of_three_letters_at_each_place():
    model = encoder("cnn")
    found = model(*batch_of([WORDS])).detach().numpy()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert found.shape == (len(WORDS), 1, SIZE)
    for t, word in enumerate(WORDS):
        x = np.vstack([np.zeros(E), state["embedding.weight"][word], np.zeros(E)])
        places = [
            np.tanh(np.einsum("fek,ke->f", state["filters.weight"], x[k : k + 3]) + state["filters.bias"])
            for k in range(len(word))
        ]
        np.testing.assert_allclose(found[t, 0], np.max(places, 0) if places else np.zeros(SIZE), atol=1e-12)


@pytest.mark.parametrize("word", CHARACTERS)
def test_a_word_does_not_notice_its_neighbours_or_what_stands_in_the_padding(word):
    model = encoder(word)
    together = model(*batch_of([WORDS, WORDS[::-1][:2]], filling=-7, width=11))
    assert not together[2, 0].any()
    assert not together[2:, 1].any()
    for t, letters in enumerate(WORDS):
        alone = model(*batch_of([[letters]]))[0, 0]
        torch.testing.assert_close(alone, together[t, 0], atol=1e-12, rtol=0)
    torch.testing.assert_close(together[0, 1], together[4, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("word", CHARACTERS)
def test_padding_learns_nothing_and_letters_that_were_read_do(word):
    model = encoder(word)
    model(*batch_of([WORDS[:4]], filling=8, width=7)).square().sum().backward()
    learned = model.embedding.weight.grad.any(1).tolist()
    assert [learned[k] for k in (0, 7, 8)] == [False] * 3
    # Every place of the words [2] and [6, 5] sees all their letters, so a maximum cannot leave one out.
    assert [learned[k] for k in (2, 5, 6)] == [True] * 3
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("word", CHARACTERS)
def test_words_without_letters_and_no_words_give_zeros_and_nothing(word):
    model = encoder(word)
    size = model.output_size
    none = torch.zeros(2, 3, dtype=torch.int64)
    for C in (0, 4):
        found = model(torch.zeros(C, 2, 3, dtype=torch.int64), none)
        assert found.shape == (2, 3, size)
        assert not found.any()
    assert model(torch.zeros(4, 0, 3, dtype=torch.int64), none[:0]).shape == (0, 3, size)


# -- filters of several widths and highways ---------------------------------------------------------------------------


def highway(window=3, highways=2):
    torch.manual_seed(0)
    return HighwayCNN(LETTERS, E, filters=2, window=window, highways=highways, size=SIZE).double()


def by_hand(word, state, *, window, highways):
    """Kim et al. 2016, equations 5 to 8, and a projection: begin (2), letters, end (3), zeros behind."""
    x = state["embedding.weight"][[2, *word, 3]]
    places = len(x)
    x = np.vstack([x, np.zeros((window, E))])
    found = []
    for w in range(1, window + 1):
        H, b = state[f"filters.{w - 1}.weight"], state[f"filters.{w - 1}.bias"]
        for f in range(2 * w):
            found.append(max(np.sum(H[f].T * x[k : k + w]) + b[f] for k in range(places)))
    y = np.maximum(found, 0)
    for k in range(highways):
        t = logistic(state[f"gates.{k}.weight"] @ y + state[f"gates.{k}.bias"])
        change = np.maximum(state[f"transforms.{k}.weight"] @ y + state[f"transforms.{k}.bias"], 0)
        y = t * change + (1 - t) * y
    return state["projection.weight"] @ y + state["projection.bias"]


@pytest.mark.parametrize(("window", "highways"), [(1, 0), (3, 2), (5, 1)])
def test_filters_and_highways_are_those_of_the_paper_written_out(window, highways):
    model = highway(window, highways)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # so that gates and filters matter
    words = [word for word in WORDS if word] + [WORDS[0]]
    found = model(*batch_of([words, WORDS[1:2]])).detach().numpy()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    for t, word in enumerate(words):
        np.testing.assert_allclose(found[t, 0], by_hand(word, state, window=window, highways=highways), atol=1e-12)
    assert not found[1:, 1].any()


def test_a_highway_begins_by_carrying_and_an_unknown_letter_says_nothing():
    model = highway()
    assert all((gate.bias == -2).all() for gate in model.gates)
    assert not model.embedding.weight[1].any()


def test_a_word_from_highways_notices_neither_neighbours_nor_padding():
    model = highway()
    together = model(*batch_of([WORDS, WORDS[::-1][:2]], filling=-7, width=11))
    assert not together[2, 0].any()
    for t, letters in enumerate(WORDS):
        torch.testing.assert_close(model(*batch_of([[letters]]))[0, 0], together[t, 0], atol=1e-12, rtol=0)
    torch.testing.assert_close(together[0, 1], together[4, 0], atol=0, rtol=0)  # one word, computed once
    none = torch.zeros(2, 3, dtype=torch.int64)
    assert not model(torch.zeros(0, 2, 3, dtype=torch.int64), none).any()
    assert model(torch.zeros(4, 0, 3, dtype=torch.int64), none[:0]).shape == (0, 3, SIZE)


def test_the_gradient_of_a_word_that_comes_twice_is_the_sum_of_both():
    grads = []
    for rows in ([WORDS[:2], [WORDS[0]]], [[WORDS[0]]], [[WORDS[0], WORDS[1]]]):
        model = highway()
        characters, lengths = batch_of(rows)
        model(characters, lengths)[lengths > 0].square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    for both, one, other in zip(*grads, strict=True):
        torch.testing.assert_close(both, one + other, atol=1e-12, rtol=0)


def test_an_unknown_way_to_read_letters_is_answered_with_its_neighbour():
    with pytest.raises(ConfigError, match="Did you mean 'lstm'"):
        CHARACTERS["lsmt"]
