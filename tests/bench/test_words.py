"""Words to configurations, and the numbers that a configuration stands for."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.base.errors import ConfigError
from recurra.bench.configuration import GRID, MODES, Configuration, choose, known_cells, sizes_of
from recurra.bench.peers import OURS, PEERS, choose_peers, participants
from recurra.bench.problem import Problem


def test_without_words_every_mode_has_its_own_cells_and_sizes():
    chosen = choose()
    assert {c.mode for c in chosen} == set(MODES)
    assert [c.sizes for c in chosen if c.mode == "train" and c.cell == "gru"] == list(GRID)
    assert {c.sizes for c in chosen if c.mode == "stream"} == {(1, 1, 64, 64), (1, 1, 256, 256), (1, 1, 512, 512)}
    assert {c.cell for c in chosen} >= {"rnn", "lstm", "gru", "lstm_peephole", "gru_reset_before", "lstm_layernorm"}


def test_quick_is_a_small_part_of_it():
    assert len(choose(quick=True)) < 25 < len(choose())
    assert {c.cell for c in choose(quick=True)} == {"lstm", "gru"}
    assert "memory" not in {c.mode for c in choose(quick=True)}


def test_words_are_kept_in_their_order_and_once():
    chosen = choose(modes=["infer", "train", "infer"], cells=["gru", "mgu"], grid=["1", "2x3x4x5", "1"])
    assert [(c.mode, c.cell, *c.sizes) for c in chosen[:4]] == [
        ("infer", "gru", 50, 32, 64, 128), ("infer", "gru", 2, 3, 4, 5),
        ("infer", "mgu", 50, 32, 64, 128), ("infer", "mgu", 2, 3, 4, 5),
    ]  # fmt: skip
    assert len(chosen) == 8


def test_a_grid_of_one_s_own_leaves_streams_alone():
    chosen = choose(modes=["stream", "infer"], cells=["rnn"], grid=["7x1x2x3"])
    assert [c.sizes for c in chosen] == [(1, 1, 64, 64), (1, 1, 256, 256), (1, 1, 512, 512), (7, 1, 2, 3)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"cells": ["lsmt"]}, r"^unknown cell 'lsmt'\. Did you mean 'lstm'\?$"),
        ({"cells": ["lstm_projected"]}, r"^unknown cell 'lstm_projected'\."),
        ({"modes": ["trian"]}, r"^unknown mode 'trian'\. Did you mean 'train'\?$"),
        ({"modes": []}, r"^modes: expected at least one of: train, infer,"),
        ({"modes": ["stream"], "grid": ["0"]}, r"^grid: mode 'stream' has sizes of its own .* leave it out\.$"),
        ({"grid": ["8"]}, r"^grid: there is no configuration 8, expected 0 to 7"),
        ({"grid": ["1x2x3"]}, r"^grid: expected 0 to 7 or sizes like 100x32x128x256, got '1x2x3'\.$"),
        ({"grid": ["1x0x3x4"]}, r"^grid: '1x0x3x4' is out of range"),
        ({"grid": ["99999x99999x1x1"]}, r"^grid: '99999x99999x1x1' is out of range"),
        ({"grid": ["1x1x1x99999"]}, r"^grid: '1x1x1x99999' is out of range"),
    ],
)
def test_a_wrong_word_is_named_with_what_would_be_right(words, message):
    with pytest.raises(ConfigError, match=message):
        choose(**words)


def test_a_number_stands_for_a_line_of_the_grid():
    assert sizes_of("2") == (100, 32, 128, 256)
    assert sizes_of("7") == (500, 16, 80, 320)


def test_an_unknown_peer_has_a_neighbour_and_an_absent_one_a_remedy(monkeypatch):
    with pytest.raises(ConfigError, match=r"unknown peer 'torhc'\. Did you mean 'torch'\?"):
        choose_peers(["torhc"])
    monkeypatch.setattr(type(PEERS["jax"]), "packages", ("no_such_package_1", "no_such_package_2"))
    with pytest.raises(ConfigError, match=r"peer 'jax' .* pip install no_such_package_1 no_such_package_2"):
        choose_peers(["jax"])
    assert "jax" not in choose_peers(None)
    assert list(choose_peers(["torch"])) == ["torch"]
    assert next(iter(participants(choose_peers(None)))) == OURS


def test_every_cell_without_projection_can_be_measured():
    assert "lstm_projected" not in known_cells()
    assert {"lstm", "slstm", "indrnn"} <= set(known_cells())


def test_lengths_are_uniform_in_a_tenth_to_all_of_the_time():
    lengths = Problem(Configuration("lengths", "rnn", 50, 4000, 1, 2)).lengths
    assert lengths.min() == 5
    assert lengths.max() == 50
    assert lengths.mean() == pytest.approx(27.5, abs=1)  # standard error 0.2
    short = Problem(Configuration("lengths", "rnn", 4, 100, 1, 2)).lengths
    assert set(short) == {1, 2, 3, 4}
    assert set(Problem(Configuration("train", "rnn", 50, 4, 1, 2)).lengths) == {50}


def test_everybody_gets_the_same_numbers_and_zeros_where_padded():
    first, second = (Problem(Configuration("lengths", "gru", 20, 4, 3, 2)) for _ in range(2))
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.weights[0][0]["weight_hh"], second.weights[0][0]["weight_hh"])
    assert first.tokens == first.lengths.sum() < 80
    for n, length in enumerate(first.lengths):
        assert np.all(first.x[length:, n] == 0)
        assert np.all(first.d_output[length:, n] == 0)
        assert np.all(first.x[:length, n] != 0)


@pytest.mark.parametrize(
    ("mode", "cell", "expected"),
    [
        # 2 * T * N * gates * H * (I + H), T = 10, N = 3, I = 5, H = 7
        ("infer", "lstm", 2 * 30 * 4 * 7 * 12),
        ("infer", "rnn", 2 * 30 * 7 * 12),
        ("train", "gru_reset_before", 3 * 2 * 30 * 3 * 7 * 12),
        ("train", "lstm_peephole", 3 * 2 * 30 * 4 * 7 * 12),
        # two directions of a layer with 5 inputs, two of one with 14
        ("bidirectional", "lstm", 3 * 2 * 30 * 4 * 7 * (2 * 12 + 2 * 21)),
    ],
)
def test_operations_are_those_of_the_matrix_products(mode, cell, expected):
    assert Problem(Configuration(mode, cell, 10, 3, 5, 7)).operations == expected
