"""Tokens per second, and the time left, over the last steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

# A window of 50 steps follows a change of sequence length within seconds and smooths single slow steps.
WINDOW = 50


class Speed:
    """A moving window over (time, tokens) of steps. clock: seconds, rising; `time.perf_counter` unless told."""

    def __init__(self, *, window: int = WINDOW, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._steps: deque[tuple[float, int]] = deque([(clock(), 0)], maxlen=window + 1)

    def add(self, tokens: int) -> None:
        """Take note of a step that has just ended."""
        self._steps.append((self._clock(), tokens))

    @property
    def tokens_per_second(self) -> float:
        """Over the window; 0 before the first step."""
        # The first entry only marks the time at which the second began.
        tokens = sum(count for _, count in list(self._steps)[1:])
        return tokens / self._seconds if self._seconds > 0 else 0.0

    def seconds_left(self, steps_left: int) -> float:
        """How long `steps_left` more steps take at this pace; infinity before the first step."""
        measured = len(self._steps) - 1
        return steps_left * self._seconds / measured if measured else float("inf")

    @property
    def _seconds(self) -> float:
        return self._steps[-1][0] - self._steps[0][0]
