"""What a configuration takes at least: bytes and rates by hand; no speed is asserted."""

from __future__ import annotations

import pytest
import torch

from recurra.base.errors import ConfigError
from recurra.bench.configuration import Configuration
from recurra.bench.problem import Problem
from recurra.bench.roofline import FEWEST_READ, MEASURED, ROWS, Roofline
from recurra.cells import CELLS
from recurra.engine import cpu

pytestmark = pytest.mark.skipif(not cpu.measures_stages(), reason="this build has no native engine that measures")


def read(memory_bytes: int) -> int:
    """Bytes of one call of the native reader, for a memory of so many."""
    return max(1, FEWEST_READ // memory_bytes) * memory_bytes


def test_floors_follow_from_sizes_and_rates():
    """LSTM, T = 10, N = 4, I = 8, H = 16: R has 4 * 16 * 16 numbers, W 4 * 16 * 8; a token is 8 + 16 numbers."""
    roofline = Roofline(Problem(Configuration("infer", "lstm", 10, 4, 8, 16)))
    seconds = {"gates": 1e-3, "weights": 2e-3, "streams": 4e-3}
    recurrent, inputs, streams = 4 * 1024, 4 * 512, 4 * 40 * 24
    assert roofline.floors(seconds, 1e9) == pytest.approx(
        {
            "products": 2 * 40 * (1024 + 512) / 1e9,
            "gates": 1e-3 / ROWS * 40,
            "weights": 2e-3 * (10 * recurrent + inputs) / read(recurrent),
            "streams": 4e-3 * streams / read(streams),
        }
    )


def test_training_goes_twice_over_weights_and_keeps_what_the_gradient_needs():
    """The RNN's gradient needs its output alone: input, output and it, thrice each but twice for what is kept."""
    infer, train = (Roofline(Problem(Configuration(mode, "rnn", 10, 4, 8, 16))) for mode in ("infer", "train"))
    seconds = dict.fromkeys(MEASURED, 1.0)
    a, b = infer.floors(seconds, 1e9), train.floors(seconds, 1e9)
    assert b["weights"] == pytest.approx(2 * a["weights"])
    assert b["products"] == pytest.approx(3 * a["products"])
    assert b["gates"] == pytest.approx(a["gates"])  # twice the functions stand in the seconds of a call
    numbers = 40 * (3 * (8 + 16) + 2 * 16)
    assert b["streams"] == pytest.approx(4 * numbers / read(4 * numbers))


def test_threads_share_rows_but_not_the_weights_of_one_direction():
    one, two = (Problem(Configuration("train", "gru", 10, 4, 8, 16), threads) for threads in (1, 2))
    both = Problem(Configuration("bidirectional", "gru", 10, 4, 8, 16), 2)
    seconds = dict.fromkeys(MEASURED, 1.0)
    alone, shared = Roofline(one).floors(seconds, 1e9), Roofline(two).floors(seconds, 1e9)
    assert shared["gates"] == pytest.approx(alone["gates"] / 2)
    assert shared["streams"] == pytest.approx(alone["streams"] / 2)
    assert shared["weights"] == pytest.approx(alone["weights"])
    # Four times the runs; W of the second layer reads 2 H = 32 columns.
    R, W, later = 3 * 16 * 16, 3 * 16 * 8, 3 * 16 * 32
    expected = (4 * 10 * R + 2 * W + 2 * later) / (10 * R + W) / 2
    assert Roofline(both).floors(seconds, 1e9)["weights"] == pytest.approx(alone["weights"] * expected)


@pytest.mark.parametrize("mode", ["infer", "train", "stream"])
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "lstm_layernorm", "slstm"])
def test_every_part_can_be_measured(cell, mode):
    roofline = Roofline(Problem(Configuration(mode, cell, 1 if mode == "stream" else 4, 1, 5, 21)))
    works = roofline.works()
    assert set(works) == set(MEASURED)
    for work in works.values():
        work()
    assert all(floor > 0 for floor in roofline.floors(dict.fromkeys(works, 1e-3), 1e9).values())


def test_without_a_peak_there_is_no_floor():
    roofline = Roofline(Problem(Configuration("infer", "lstm", 2, 1, 3, 4)))
    assert roofline.floors(dict.fromkeys(MEASURED, 1.0), None) is None
    assert roofline.floors({}, 1e9) is None


def test_the_reader_counts_the_bytes_it_reads():
    for floats in (64, 1024, 5000):
        whole = floats * 4 // 512 * 512
        assert cpu.read_rounds(torch.ones(floats), 3) in (
            3 * whole,
            3 * (floats * 4 // 256 * 256),
            3 * (floats * 4 // 128 * 128),
        )


def test_a_cell_without_a_kernel_has_no_stages(monkeypatch):
    monkeypatch.setattr(cpu, "kernel_of", lambda cell, isa: (None, "no compiler"))
    with pytest.raises(ConfigError, match="no compiler"):
        cpu.stage_rounds(CELLS["lstm"], 4, 1, training=False, back=False)
    assert Roofline(Problem(Configuration("infer", "lstm", 2, 1, 3, 4))).works() == {}
