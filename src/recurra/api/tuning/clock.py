"""The time of a search: what is spent, and what is kept to repeat the best."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Share of the time that is kept for repeating the best, at most.
MOST_RESERVED = 0.5


@dataclass(slots=True)
class Clock:
    """The time of one call. hours: all of it, or None      repeats: trainings after the trials

    seconds: that each training took here
    """

    hours: float | None
    repeats: int
    began: float = field(default_factory=time.monotonic)
    seconds: list[float] = field(default_factory=list)

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began

    @property
    def mean(self) -> float:
        """Seconds of a training."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0

    @property
    def trials_are_over(self) -> bool:
        """Whether what is left is needed to repeat the best."""
        if self.hours is None:
            return False
        budget = 3600 * self.hours
        return self.spent + min(self.mean * self.repeats, MOST_RESERVED * budget) >= budget

    def has_time_for(self, trainings: int) -> bool:
        return self.hours is None or self.spent + self.mean * trainings <= 3600 * self.hours

    def left(self, trainings: int) -> str:
        """How fast trainings go, and when so many are done; "" before the first one."""
        if not self.seconds:
            return ""
        seconds = self.mean * trainings
        if self.hours is not None:
            seconds = min(seconds, max(3600 * self.hours - self.spent, 0.0))
        return f"{self.mean:.3g} s a trial, {in_words(seconds)} left"


def in_words(seconds: float) -> str:
    """A time that nobody knows to the second."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
