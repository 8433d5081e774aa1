"""A configuration measured for real, at tiny sizes; no speed is asserted."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import torch

from recurra.base.errors import ConfigError, RunError
from recurra.bench import memory
from recurra.bench.configuration import Configuration
from recurra.bench.measure import opened
from recurra.bench.peers import OURS, choose_peers, ours
from recurra.engine import cpu

TINY = (6, 2, 3, 4)
TORCH = ("torch", "torch_packed", "torch_cell", "torch_loop")


class Failing:
    doc = "fails"
    packages = ()

    def start(self, threads):
        pass

    def refuses(self, configuration):
        return False

    def work(self, problem):
        raise RuntimeError("no such operator")


@pytest.mark.parametrize("mode", ["train", "infer", "lengths", "stream", "bidirectional"])
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "slstm"])
def test_numbers_are_positive_and_complete(mode, cell):
    sizes = (1, 1, 4, 4) if mode == "stream" else TINY
    with opened(choose_peers(TORCH), threads=1, seconds=0.001) as bench:
        row = bench.row(Configuration(mode, cell, *sizes))
    assert row.value > 0
    assert row.operations > 0
    assert all(value > 0 for value in row.peers.values())
    assert (row.token_time is not None) == (mode == "lengths")
    assert (row.peak is not None) == (row.share is not None) == cpu.available()
    expected = {"lstm": {"lengths": {"torch", "torch_packed"}, "stream": {"torch_cell"}}.get(mode, {"torch"})}
    if cell == "gru_reset_before" and mode != "bidirectional":
        expected[cell] = {"torch_loop"}
    assert set(row.peers) == expected.get(cell, set())


def test_a_time_a_token_is_relative_to_full_lengths(monkeypatch):
    """9 us for the layer, 10 at full lengths: with half of the tokens, a token takes 1.8 times as long."""
    from recurra.bench.clock import Meter

    times = {OURS: 9e-6, "full lengths": 10e-6, "torch_packed": 27e-6, "FMA peak": 1.0}
    monkeypatch.setattr(Meter, "medians", lambda self, works: {name: times.get(name, 1.0) for name in works})
    with opened(choose_peers(["torch_packed"])) as bench:
        row = bench.row(Configuration("lengths", "lstm", 20, 3, 2, 2))
    from recurra.bench.problem import Problem

    share = Problem(row.configuration).tokens / 60
    assert 0.1 < share < 1
    assert row.token_time == pytest.approx(0.9 / share)
    assert row.value == pytest.approx(9e-3)
    assert row.ratios == pytest.approx({"torch_packed": 3.0})


def test_a_peer_that_fails_is_left_out_aloud():
    notes = []
    with opened({"broken": Failing(), **choose_peers(["torch"])}, seconds=0.001, note=notes.append) as bench:
        row = bench.row(Configuration("infer", "lstm", *TINY))
    assert set(row.peers) == {"torch"}
    assert notes == ["broken is left out: RuntimeError: no such operator"]


def test_a_failure_of_our_own_is_one(monkeypatch):
    monkeypatch.setattr(ours.Ours, "work", Failing.work)
    with opened({}, seconds=0.001) as bench, pytest.raises(RuntimeError, match="no such operator"):
        bench.row(Configuration("infer", "lstm", *TINY))


def test_without_the_native_engine_the_layer_is_measured_all_the_same(monkeypatch):
    monkeypatch.setattr(cpu, "_native", None)
    with opened({}, seconds=0.001) as bench:
        rows = [bench.row(Configuration(mode, "lstm", 1, 1, 4, 4)) for mode in ("infer", "stream")]
    assert {row.executor for row in rows} == {"torch"}
    assert all(row.value > 0 and row.share is None for row in rows)


def test_torch_has_its_threads_back():
    before = torch.get_num_threads()
    with opened({}, threads=1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": 0}, "threads: got 0, expected 1 to"),
        ({"threads": 10**6}, "threads: got 1000000, expected 1 to"),
        ({"seconds": 0.0}, "seconds: got 0.0, expected more than 0"),
        ({"seconds": float("nan")}, "seconds: got nan"),
        ({"seconds": 1e9}, "seconds: got 1000000000.0"),
    ],
)
def test_a_number_out_of_range_is_refused(given, message):
    with pytest.raises(ConfigError, match=message), opened({}, **given):
        pass


class Hungry(Failing):
    """Takes 64 MiB in a step and keeps 16 of them."""

    def work(self, problem):
        def work():
            scratch = np.ones(12 << 20, dtype=np.float32)
            kept = np.ones(4 << 20, dtype=np.float32)
            del scratch
            return kept

        return work


@pytest.mark.skipif(not memory.RESET.exists(), reason="memory is read from /proc/self")
def test_memory_is_what_a_step_adds_at_its_peak(monkeypatch):
    monkeypatch.setattr(memory, "participants", lambda peers: {"hungry": Hungry()})
    np.ones(64 << 20, dtype=np.float32)  # an earlier peak of 256 MiB, which must not count
    grown = memory.measured("hungry", Configuration("memory", "lstm", *TINY), 1)
    assert grown == pytest.approx(64, abs=2)


def test_a_peer_whose_process_fails_is_left_out_aloud(monkeypatch):
    def growth(name, configuration, threads):
        if name == "torch":
            raise RunError("memory of torch: its process ended with -9: no message")
        return 3.0

    notes = []
    monkeypatch.setattr(memory, "growth", growth)
    with opened(choose_peers(["torch"]), note=notes.append) as bench:
        row = bench.row(Configuration("memory", "lstm", *TINY))
    assert (row.value, dict(row.peers)) == (3.0, {})
    assert notes == ["torch is left out: memory of torch: its process ended with -9: no message"]


@pytest.mark.skipif(not memory.RESET.exists(), reason="memory is read from /proc/self")
def test_a_process_that_fails_or_hangs_says_so(monkeypatch):
    def ended(command, **options):
        return subprocess.CompletedProcess(command, -11, "", "a warning\nbad thing\n")

    def hung(command, **options):
        raise subprocess.TimeoutExpired(command, 600)

    for run, message in ((ended, "ended with -11: bad thing"), (hung, r"took more than 600 s\.")):
        monkeypatch.setattr(subprocess, "run", run)
        with pytest.raises(RunError, match=f"^memory of torch: its process {message}$"):
            memory.growth("torch", Configuration("memory", "lstm", *TINY), 1)


@pytest.mark.skipif(not memory.RESET.exists(), reason="memory is read from /proc/self")
def test_memory_is_measured_in_a_process_of_its_own():
    """Output, tape and gradients of (200, 8, 64, 128) are at least 0.8 MiB of output and 3.1 MiB of gates."""
    grown = memory.growth(OURS, Configuration("memory", "lstm", 200, 8, 64, 128), 1)
    assert 3.9 < grown < 100


def test_where_the_system_does_not_say_memory_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "RESET", tmp_path / "none")
    with pytest.raises(ConfigError, match="'memory' needs Linux"):
        memory.growth(OURS, Configuration("memory", "lstm", *TINY), 1)
