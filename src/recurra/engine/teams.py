"""How many threads do a piece of work whose result does not depend on it: whichever number is faster just now.

Threads that wait for one another a thousand times a second are slower than one alone where other programs have the
other cores: with two threads on a busy machine of two cores, word vectors took four times as long as with one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Work between two looks at whether the other number has become the faster one.
AGAIN = 64


class Team:
    """One thread, or as many as may be. clock: seconds"""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._cost: dict[int, float] = {}
        self._done = 0

    def run(self, threads: int, size: int, work: Callable[[int], T]) -> T:
        """What `work` gives with one of 1 and `threads`. size: of this piece; seconds are compared by it"""
        chosen = self._choice(threads)
        begin = self._clock()
        result = work(chosen)
        if size:
            self._cost[chosen] = (self._clock() - begin) / size
        self._done += 1
        return result

    def _choice(self, threads: int) -> int:
        if threads == 1 or threads not in self._cost:
            return threads
        if 1 not in self._cost:
            return 1
        faster, other = sorted((1, threads), key=self._cost.__getitem__)
        return other if self._done % AGAIN == 0 else faster
