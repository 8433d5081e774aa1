"""Medians of planted times, with a clock that works move on."""

from __future__ import annotations

import time

import pytest

from recurra.bench.clock import FEWEST_ROUNDS, MOST_CALLS, Meter, clock_for
from recurra.bench.peak import NAME, ROUNDS, ROUNDS_OF_SEVERAL, Peak
from recurra.engine import cpu


class Time:
    """A clock that only moves when a work says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, *seconds):
        """Takes these seconds in turn, then the last of them for ever; counts its calls."""

        def work():
            self.now += seconds[min(work.calls, len(seconds) - 1)]
            work.calls += 1

        work.calls = 0
        return work


def test_the_median_of_planted_times_is_found():
    clock = Time()
    works = {"steady": clock.work(0.25), "disturbed": clock.work(2.0, 3.0, 900.0, 4.0, 5.0)}
    # The first call of each only tells how often to call; then five rounds: 3, 900, 4, 5, 5.
    medians = Meter(seconds=916.0, clock=clock, wall=clock).medians(works)
    assert medians == {"steady": 0.25, "disturbed": 5.0}
    assert works["disturbed"].calls == 6


def test_there_are_some_rounds_however_long_they_take():
    clock = Time()
    work = clock.work(1000.0)
    assert Meter(seconds=0.1, clock=clock, wall=clock).medians({"slow": work}) == {"slow": 1000.0}
    assert work.calls == 1 + FEWEST_ROUNDS


def test_a_short_work_is_called_many_times_and_the_time_of_one_call_comes_back():
    clock = Time()
    work = clock.work(1e-5)
    median = Meter(seconds=0.0, clock=clock, wall=clock).medians({"short": work})["short"]
    assert median == pytest.approx(1e-5)
    assert work.calls == 2 + FEWEST_ROUNDS * 500  # a sample is five milliseconds
    still = clock.work(0.0)
    assert Meter(seconds=0.0, clock=clock, wall=clock).medians({"still": still}) == {"still": 0.0}
    assert still.calls == 2 + FEWEST_ROUNDS * MOST_CALLS


def test_the_first_call_of_a_short_work_does_not_say_how_often_to_call_it():
    clock = Time()
    work = clock.work(4e-3, 1e-5)
    assert Meter(seconds=0.0, clock=clock, wall=clock).medians({"cold": work})["cold"] == pytest.approx(1e-5)
    assert work.calls == 2 + FEWEST_ROUNDS * 500


def test_works_take_turns():
    order = []
    clock = Time()
    works = {name: lambda name=name: (order.append(name), clock.work(1.0)()) for name in "ab"}
    Meter(seconds=0.0, clock=clock, wall=clock).medians(works)
    assert "".join(order) == "ab" * (1 + FEWEST_ROUNDS)


def test_one_thread_is_clocked_in_cpu_time_and_several_rest_in_between():
    assert clock_for(1) is time.process_time
    assert clock_for(2) is time.perf_counter
    rests = []
    clock = Time()
    meter = Meter(seconds=0.0, clock=clock, wall=clock, rest=rests.append)
    meter.medians({"one": clock.work(1.0)})
    assert len(rests) == 1 + FEWEST_ROUNDS
    assert Meter.of(1.0, 2).rest is time.sleep


def test_threads_that_a_peer_leaves_busy_do_not_count_for_a_work_that_is_alone():
    """A clock that runs away as one of the whole process does; the thread's own does not."""
    clock = Time()
    meter = Meter(seconds=0.0, clock=clock, wall=clock, alone=frozenset(("peak",)))
    medians = meter.medians({"peak": clock.work(1000.0), "other": clock.work(1000.0)})
    assert medians["other"] == 1000.0
    assert medians["peak"] < 1.0
    assert Meter.of(1.0, 1, alone=frozenset(("peak",))).alone == {"peak"}
    assert not Meter.of(1.0, 2, alone=frozenset(("peak",))).alone


@pytest.mark.parametrize("threads", [1, 2])
def test_the_peak_is_that_of_all_threads(threads):
    if not cpu.available():
        assert Peak(threads).works() == {}
        pytest.skip("recurra was installed without its native engine")
    peak = Peak(threads)
    peak.works()[NAME]()
    peak.stop()
    each = cpu.fma_rounds(1)
    assert peak.operations == threads * each * (ROUNDS if threads == 1 else ROUNDS_OF_SEVERAL) > 0
