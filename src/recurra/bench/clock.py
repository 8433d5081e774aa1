"""Times of several works in turn, so that a disturbance of the machine meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[], Any]
Clock: TypeAlias = Callable[[], float]

FEWEST_ROUNDS = 5
# Of one sample: short works are repeated, since each finds the caches full of what the work before it left there.
SAMPLE_SECONDS = 5e-3
MOST_CALLS = 1000
# libgomp's threads spin for a few milliseconds after a parallel region and would take a core from the next work.
REST_SECONDS = 5e-3


def clock_for(threads: int) -> Clock:
    """CPU time of one thread, which other programs disturb less; wall time of several."""
    return time.process_time if threads == 1 else time.perf_counter


@dataclass(frozen=True, slots=True)
class Meter:
    """Measures works in turn for `seconds` of `wall`, at least five rounds, with `clock`.

    rest: called before each sample with the seconds in which threads that spin should come to rest
    alone: works that are clocked in CPU time of the calling thread: threads that a peer leaves busy do not count there
    """

    seconds: float
    clock: Clock
    wall: Clock = time.perf_counter
    alone: frozenset[str] = frozenset()
    rest: Callable[[float], None] = lambda seconds: None

    @classmethod
    def of(cls, seconds: float, threads: int, *, alone: frozenset[str] = frozenset()) -> Meter:
        return cls(
            seconds,
            clock_for(threads),
            alone=alone if threads == 1 else frozenset(),
            rest=time.sleep if threads > 1 else lambda seconds: None,
        )

    def medians(self, works: Mapping[str, Work]) -> dict[str, float]:
        """Seconds of one call of each work; each has been called before, as a first call loads and allocates."""
        calls = {name: self._calls(work) for name, work in works.items()}
        samples: dict[str, list[float]] = {name: [] for name in works}
        end, rounds = self.wall() + self.seconds, 0
        while rounds < FEWEST_ROUNDS or self.wall() < end:
            for name, work in works.items():
                clock = time.thread_time if name in self.alone else self.clock
                samples[name].append(self._sample(work, calls[name], clock))
            rounds += 1
        return {name: statistics.median(times) for name, times in samples.items()}

    def _calls(self, work: Work) -> int:
        """Calls of a sample. Of a short work, by its second call: the first finds nothing in the caches."""
        once = self._sample(work, 1, self.clock)
        if once < SAMPLE_SECONDS:
            once = max(self._sample(work, 1, self.clock), 1e-7)
        return max(1, min(MOST_CALLS, round(SAMPLE_SECONDS / once)))

    def _sample(self, work: Work, calls: int, clock: Clock) -> float:
        self.rest(REST_SECONDS)
        begin = clock()
        for _ in range(calls):
            work()
        return (clock() - begin) / calls
